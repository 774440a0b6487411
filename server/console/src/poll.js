// What is looked at again and again while a screen shows it, and rates of what it counts.

import { useEffect, useRef, useState } from "preact/hooks";

// { data, error, again }: `load(signal)` now, `everyMs` after each answer, and whenever `again()` is called; not while the tab is hidden.
export function usePoll(load, everyMs, dependencies = []) {
  const [state, setState] = useState({ data: undefined, error: null });
  const again = useRef(() => {});
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const run = async () => {
      clearTimeout(timer);
      try {
        if (!document.hidden) {
          const data = await load(stop.signal);
          if (!stop.signal.aborted) setState({ data, error: null });
        }
      } catch (error) {
        if (!stop.signal.aborted) setState((before) => ({ ...before, error }));
      }
      if (!stop.signal.aborted && everyMs) timer = setTimeout(run, everyMs);
    };
    again.current = run;
    setState({ data: undefined, error: null });
    run();
    const shownAgain = () => !document.hidden && run();
    document.addEventListener("visibilitychange", shownAgain);
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shownAgain);
    };
  }, dependencies);
  return { ...state, again: () => again.current() };
}

// Rates per second of counters over the last seconds.
export class Rates {
  #seen = [];
  #overMs;

  constructor(overMs = 5000) {
    this.#overMs = overMs;
  }

  // `counts`: a number by name, now.
  add(counts, atMs = performance.now()) {
    this.#seen.push({ atMs, counts });
    while (this.#seen.length > 2 && atMs - this.#seen[1].atMs > this.#overMs) this.#seen.shift();
  }

  of(name) {
    const first = this.#seen.find((s) => name in s.counts);
    const last = this.#seen.at(-1);
    if (!first || first === last || !(name in last.counts)) return null;
    return Math.max(0, (1000 * (last.counts[name] - first.counts[name])) / (last.atMs - first.atMs));
  }
}

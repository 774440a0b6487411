// Numbers, sizes and times as people read them.

const WHOLE = new Intl.NumberFormat("en-US");

export const whole = (value) => WHOLE.format(Number(value));

export function short(value) {
  const n = Number(value);
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (Math.abs(n) >= size) return `${(n / size).toFixed(Math.abs(n) >= 10 * size ? 0 : 1)}${unit}`;
  }
  return Number.isInteger(n) ? String(n) : n.toFixed(Math.abs(n) < 10 ? 1 : 0);
}

export const rate = (value) => (value === null || value === undefined ? "–" : `${short(value)}/s`);

export function size(bytes) {
  const n = Number(bytes);
  for (const [unit, unitBytes] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (n >= unitBytes) return `${(n / unitBytes).toFixed(n >= 10 * unitBytes ? 0 : 1)} ${unit}`;
  }
  return `${n} B`;
}

export function time(ms) {
  if (ms === null || ms === undefined) return "–";
  const date = new Date(Number(ms));
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString().replace("T", " ").replace("Z", "");
}

// A length of time in its largest unit, with three digits.
export function duration(ms) {
  for (const [unit, unitMs] of [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]]) {
    if (ms >= unitMs) return plural(+(ms / unitMs).toPrecision(3), unit);
  }
  return ms >= 1000 ? `${+(ms / 1000).toPrecision(3)} s` : `${+ms.toPrecision(3)} ms`;
}

export const plural = (n, one, many = one + "s") => `${whole(n)} ${n === 1 ? one : many}`;

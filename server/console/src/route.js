// Where one is: the part of the address behind #, as parts of a path.

import { signal } from "@preact/signals";

const read = () => location.hash.replace(/^#\/?/, "").split("?")[0].split("/").filter(Boolean).map(decodeURIComponent);
const parameters = () => Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? ""));

export const route = signal(read());
export const asked = signal(parameters());

addEventListener("hashchange", () => {
  asked.value = parameters();
  route.value = read();
});

export const link = (...parts) => "#/" + parts.map(encodeURIComponent).join("/");
export const go = (...parts) => {
  location.hash = link(...parts);
};

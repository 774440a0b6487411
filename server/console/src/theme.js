// Light, dark, or what the system says.

import { effect, signal } from "@preact/signals";

const KEPT = "penstock.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const theme = signal(localStorage.getItem(KEPT) ?? "system");
export const dark = signal(false); // what it comes to

const settle = () => {
  dark.value = theme.value === "dark" || (theme.value === "system" && system.matches);
  document.documentElement.dataset.theme = dark.value ? "dark" : "light";
};

effect(() => {
  localStorage.setItem(KEPT, theme.value);
  settle();
});
system.addEventListener("change", settle);

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

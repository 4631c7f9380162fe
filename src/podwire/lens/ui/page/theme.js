// Light, dark, or what the system says; remembered in this browser.

import { byId } from "./dom.js";

const KEY = "podwire-theme";
const ORDER = ["auto", "light", "dark"];
const NAMES = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };

const now = () => (ORDER.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "auto");

export function setTheme() {
  const theme = now();
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = NAMES[theme];
}

export function nextTheme() {
  localStorage.setItem(KEY, ORDER[(ORDER.indexOf(now()) + 1) % ORDER.length]);
  setTheme();
}

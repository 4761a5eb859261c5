// What one person at one browser prefers: language, light or dark, and whether up is red.

import { reactive, watchEffect } from "../vue.js";

const KEY = "rflow.settings";
const CHOICES = { language: ["zh", "en"], theme: ["auto", "dark", "light"], up: ["auto", "red", "green"] };

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {}; // a browser that keeps nothing still shows everything
  }
}

function initial() {
  const kept = stored();
  const asked = Object.fromEntries(new URLSearchParams(location.search));
  const chosen = (name, otherwise) => [asked[name], kept[name]].find((value) => CHOICES[name].includes(value)) ?? otherwise;
  return {
    language: chosen("language", navigator.language.startsWith("zh") ? "zh" : "en"),
    theme: chosen("theme", "auto"),
    up: chosen("up", "auto"),
  };
}

export const settings = reactive(initial());

const prefersLight = matchMedia("(prefers-color-scheme: light)");
const system = reactive({ light: prefersLight.matches });
prefersLight.addEventListener("change", (event) => {
  system.light = event.matches;
});

/** Light or dark; the wall is always dark unless light is asked for. */
export function theme() {
  if (settings.theme !== "auto") return settings.theme;
  return system.light && location.pathname !== "/wall" ? "light" : "dark";
}

/** In China up is red; elsewhere it is green. */
export function upColour() {
  if (settings.up !== "auto") return settings.up;
  return settings.language === "zh" ? "red" : "green";
}

export function choose(name, value) {
  settings[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // kept until the page is left
  }
}

watchEffect(() => {
  const root = document.documentElement;
  root.lang = settings.language === "zh" ? "zh-CN" : "en";
  root.dataset.theme = theme();
  root.dataset.up = upColour();
});

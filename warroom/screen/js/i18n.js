// Every visible word, in the language that is chosen.

import { settings } from "./settings.js";
import zh from "./i18n/zh.js";
import en from "./i18n/en.js";

export const dictionaries = { zh, en };

/** The text of a key, `{name}` filled in. A key that is missing shows itself: a test looks for such. */
export function t(key, values = {}) {
  const text = dictionaries[settings.language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** A name out of `{zh, en}`, whichever there is. */
export function named(names, otherwise = "") {
  return names?.[settings.language] ?? names?.en ?? otherwise;
}

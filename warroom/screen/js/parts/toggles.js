// Language, light or dark, and which colour is up.

import { h } from "../../vue.js";
import { t } from "../i18n.js";
import { choose, settings, theme, upColour } from "../settings.js";
import { href } from "../store.js";

/** Three buttons; each says what it changes to. */
export function toggles({ small = false } = {}) {
  const [language, light, up] = [
    settings.language === "zh" ? "en" : "zh",
    theme() === "dark" ? "light" : "dark",
    upColour() === "red" ? "green" : "red",
  ];
  const button = (name, value, shown, said) =>
    h(
      "button",
      { type: "button", class: "toggle", "data-toggle": name, "data-tip": said, "aria-label": said, onClick: () => choose(name, value) },
      shown,
    );
  return h("div", { class: ["toggles", { small }] }, [
    button("language", language, language === "zh" ? "中文" : "EN", t("toggle.language")),
    button("theme", light, light === "light" ? "☀" : "☾", t(`toggle.${light}`)),
    button("up", up, [h("span", { class: ["arrow", "up"] }, "▲"), h("span", { class: ["arrow", "down"] }, "▼")], t(`toggle.up_${up}`)),
    small && h("a", { class: "toggle", href: href("/"), "data-tip": t("toggle.desk"), "aria-label": t("toggle.desk") }, "⌂"),
  ]);
}

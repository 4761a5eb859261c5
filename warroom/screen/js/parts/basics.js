// The small parts all views are made of: figures that explain themselves, panels, changes with arrows, tables, empty states.

import { h } from "../../vue.js";
import { t } from "../i18n.js";
import * as format from "../format.js";
import { settings } from "../settings.js";
import { currency } from "../store.js";

export const money = (minor) => format.money(minor, currency.value, settings.language);
export const count = (number) => format.count(number, settings.language);
export const signed = (number) => format.signed(number, settings.language);
export const { rate, wholeRate, ratio } = format;

/** A figure that says, on hover and on keyboard focus, what it counts and over which window. */
export function figure(text, explained, { tag = "span", kind = "", ...more } = {}) {
  return h(
    tag,
    { class: ["fig", kind], tabindex: 0, role: "note", "aria-label": `${text}. ${explained}`, "data-tip": explained, ...more },
    text,
  );
}

/** A part of a page with a heading. `aside` stands at the heading's end. */
export function panel(title, body, { aside = null, kind = "", explained = "", id = undefined } = {}) {
  const heading = h("h2", explained ? { tabindex: 0, "data-tip": explained } : {}, title);
  return h("section", { class: ["panel", kind], "data-panel": id }, [
    h("header", { class: "panel-head" }, [heading, aside && h("div", { class: "panel-aside" }, [aside])]),
    h("div", { class: "panel-body" }, Array.isArray(body) ? body : [body]),
  ]);
}

/** What stands where there is nothing yet: what is missing, and what to do. */
export function empty(what, hint = "") {
  return h("div", { class: "empty" }, [h("p", { class: "empty-what" }, what), hint && h("p", { class: "empty-hint" }, hint)]);
}

/** Up or down, told by an arrow and a colour; `good` false where up is bad does not change the colour: it means direction. */
export function change(value, text, explained = "") {
  const way = value > 0 ? "up" : value < 0 ? "down" : "flat";
  const arrow = { up: "▲", down: "▼", flat: "●" }[way];
  const inside = [h("span", { class: "arrow", "aria-hidden": "true" }, arrow), text];
  const said = `${t(`way.${way}`)} ${text}`;
  if (!explained) return h("span", { class: ["change", way] }, inside);
  return h(
    "span",
    { class: ["change", "fig", way], tabindex: 0, role: "note", "aria-label": `${said}. ${explained}`, "data-tip": explained },
    inside,
  );
}

/** How far two figures are apart, as a change: `▲ 12.4%`. */
export function against(value, usual, explained) {
  if (value === null || usual === null || usual === undefined || !usual) return h("span", { class: "change flat" }, format.NONE);
  const apart = value / usual - 1;
  return change(Math.abs(apart) < 0.005 ? 0 : apart, rate(Math.abs(apart)), explained);
}

/** A meter from 0 to `most`, with a mark where it should be. Drawn with attributes: the policy forbids inline styles. */
export function meter(value, most, mark = null, kind = "") {
  const at = (part) => `${Math.max(0, Math.min(100, most ? (part / most) * 100 : 0))}%`;
  return h("svg", { class: ["meter", kind], "aria-hidden": "true", width: "100%", height: "100%", preserveAspectRatio: "none" }, [
    h("rect", { class: "meter-all", width: "100%", height: "100%", rx: 3 }),
    h("rect", { class: "meter-part", width: at(value), height: "100%", rx: 3 }),
    mark !== null && h("line", { class: "meter-mark", x1: at(mark), x2: at(mark), y1: 0, y2: "100%" }),
  ]);
}

/** A table. `columns`: {name, title, kind, explained, cell(row)}. `label` is what it is called for those who do not see it. */
export function table(label, columns, rows, { key = (row, i) => i, attributes = () => ({}) } = {}) {
  return h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": label }, [
    h("table", {}, [
      h("caption", { class: "unseen" }, label),
      h("thead", {}, [
        h(
          "tr",
          {},
          columns.map((one) =>
            h("th", { scope: "col", class: one.kind, "data-tip": one.explained, tabindex: one.explained ? 0 : undefined }, one.title),
          ),
        ),
      ]),
      h(
        "tbody",
        {},
        rows.map((row, i) =>
          h(
            "tr",
            { key: key(row, i), ...attributes(row) },
            columns.map((one) => h("td", { class: one.kind }, [one.cell(row, i)])),
          ),
        ),
      ),
    ]),
  ]);
}

/** One of several: buttons of which one is pressed. */
export function choice(label, options, chosen, choose) {
  return h(
    "div",
    { class: "choice", role: "group", "aria-label": label },
    options.map(([value, text]) =>
      h("button", { key: value, type: "button", "aria-pressed": String(value === chosen), onClick: () => choose(value) }, text),
    ),
  );
}

/** What went wrong, in words. */
export function trouble(problem) {
  if (!problem) return null;
  const said = problem.status === 0 ? t("problem.unreachable") : problem.message;
  return h("p", { class: "trouble", role: "alert" }, [h("strong", {}, t("problem.title")), ` ${said}`]);
}

// Fields of forms.

import { h } from "../../vue.js";
import { t } from "../i18n.js";
import { currency } from "../store.js";

/** A labelled input that writes into `model[name]`. */
export function field(label, model, name, more = {}) {
  return h("label", { class: "field" }, [
    h("span", {}, label),
    h(more.rows ? "textarea" : "input", {
      value: model[name],
      name,
      onInput: (event) => {
        model[name] = event.target.value;
      },
      ...more,
    }),
  ]);
}

/** A labelled choice. `options`: [value, text]. */
export function pick(label, model, name, options, more = {}) {
  return h("label", { class: "field" }, [
    h("span", {}, label),
    h(
      "select",
      {
        value: model[name],
        name,
        onChange: (event) => {
          model[name] = event.target.value;
        },
        ...more,
      },
      options.map(([value, text]) => h("option", { key: value, value, selected: value === model[name] }, text)),
    ),
  ]);
}

/** A bare input of a table's cell; `label` is read to those who do not see the table. */
export function cellInput(label, value, write, more = {}) {
  return h("input", { class: "cell-input", "aria-label": label, value, onInput: (event) => write(event.target.value), ...more });
}

export function button(text, act, { kind = "quiet", ...more } = {}) {
  return h("button", { type: "button", class: kind, onClick: act, ...more }, text);
}

/** What a target's field is counted in. */
export const unitOf = (name) => (name === "order_value" ? currency.value : t(`unit.${name}`));

/** What the server found wrong with each value, if it says so. */
export function complaints(problem) {
  if (!problem) return null;
  const said = problem.status === 0 ? t("problem.unreachable") : problem.message;
  return h("p", { class: "trouble", role: "alert" }, [h("strong", {}, t("problem.title")), ` ${said}`]);
}

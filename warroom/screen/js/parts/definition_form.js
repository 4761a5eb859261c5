// The parts of a form that say what a promotion is but for its targets: phases as rows, and the plan curve.

import { h } from "../../vue.js";
import { t } from "../i18n.js";
import { fullTime } from "../format.js";
import { state } from "../store.js";
import { button, cellInput, field, pick } from "./forms.js";

export const PHASES = ["teaser", "presale", "peak", "encore"];
const PLAN_FILES = ".csv,.json,.txt,text/csv,application/json";

/** A time of a record as it is typed: `2026-11-11T00:00` in a zone. */
export const typedTime = (text, zone) => fullTime(Date.parse(text), zone).replace(" ", "T");

/** What is typed as the API takes it: in the brand's own zone. */
export const writtenTime = (text) => text.replace("T", " ");

/** One row a phase: which, from, to. */
export function phaseRows(rows, window) {
  const time = (row, name) =>
    cellInput(
      `${t(`form.phase_${name}`)} ${rows.indexOf(row) + 1}`,
      row[name],
      (value) => {
        row[name] = value;
      },
      { type: "datetime-local", class: "cell-input time", "data-phase": `${rows.indexOf(row)}/${name}` },
    );
  const which = (row) =>
    h(
      "select",
      {
        "aria-label": `${t("form.phase_name")} ${rows.indexOf(row) + 1}`,
        value: row.phase,
        onChange: (event) => {
          row.phase = event.target.value;
        },
      },
      PHASES.map((name) => h("option", { value: name, selected: name === row.phase }, t(`phase.${name}`))),
    );
  return h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": t("form.phases") }, [
    h("table", {}, [
      h("thead", {}, [
        h("tr", {}, [...["name", "from", "to"].map((name) => h("th", { scope: "col" }, t(`form.phase_${name}`))), h("td")]),
      ]),
      h(
        "tbody",
        {},
        rows.map((row, i) =>
          h("tr", { key: i }, [
            h("td", {}, [which(row)]),
            h("td", {}, [time(row, "from")]),
            h("td", {}, [time(row, "to")]),
            h("td", {}, [button("✕", () => rows.splice(i, 1), { "aria-label": t("form.remove_row", { row: i + 1 }) })]),
          ]),
        ),
      ),
    ]),
    h("p", { class: "form-row" }, [
      button(t("form.add_phase"), () => rows.push({ phase: "peak", from: rows.at(-1)?.to ?? window.from, to: window.to })),
    ]),
  ]);
}

/** The plan curve: that of an earlier promotion, of a file, even; `kept`: or as it is. Reads and writes `plan`, `like`, `plan_file`. */
export function planFields(form, kept = false) {
  const earlier = state.promotions.filter((one) => one.promotion_id !== form.promotion_id);
  const ways = [...(kept ? ["kept"] : []), "even", ...(earlier.length ? ["like"] : []), "file"];
  const forget = (event) => {
    event.target.value = ""; // the same file chosen again, mended meanwhile, is no change to a browser
  };
  const read = async (event) => {
    const [file] = event.target.files;
    form.plan_file = ""; // so that nobody saves the one before
    if (file) form.plan_file = await file.text();
  };
  return h("div", { class: "form-row" }, [
    pick(
      t("form.plan"),
      form,
      "plan",
      ways.map((way) => [way, t(`plan.${way}`)]),
    ),
    form.plan === "like" &&
      pick(
        t("plan.like"),
        form,
        "like",
        earlier.map((one) => [one.promotion_id, one.name]),
      ),
    form.plan === "file" &&
      h("label", { class: "field" }, [
        h("span", {}, t("plan.choose")),
        h("input", { type: "file", name: "plan_upload", accept: PLAN_FILES, onClick: forget, onChange: read }),
      ]),
    form.plan === "file" && field(t("plan.file_hint"), form, "plan_file", { rows: 4, spellcheck: false }),
  ]);
}

/** How the API is told the plan. Throws, as a problem does, where nothing was given. */
export function planOf(form) {
  if (form.plan === "kept") return { plan_kept: true };
  if (form.plan === "like") return { plan_like: form.like };
  if (form.plan !== "file") return {};
  if (!form.plan_file.trim()) throw Object.assign(new Error(t("plan.none")), { status: 400 });
  return { plan_file: form.plan_file };
}

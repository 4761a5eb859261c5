// A new promotion: window, phases, targets row by row (or those of an earlier one, scaled), and the curve by which they are to be reached.

import { defineComponent, h, reactive, ref, shallowRef } from "../../vue.js";
import { request } from "../api.js";
import { t } from "../i18n.js";
import { go, href, layerName, loadPromotions, state } from "../store.js";
import { cellsOf, parsed, treeOf, typed } from "../targets.js";
import { figure, money, panel } from "../parts/basics.js";
import { planFields, planOf, writtenTime } from "../parts/definition_form.js";
import { button, cellInput, complaints, field, pick, unitOf } from "../parts/forms.js";

const emptyRow = () => ({
  channel: "",
  store_id: "",
  owner: "",
  layer: state.facts?.layers.at(-3)?.id ?? "",
  headcount: "",
  conversion_rate: "",
  order_value: "",
});

export const Create = defineComponent({
  emits: ["done"],
  setup(_, { emit }) {
    const form = reactive({
      promotion_id: "",
      name: "",
      from: "",
      presale: "",
      peak: "",
      encore: "",
      to: "",
      owner: state.session?.name ?? "",
      because: "",
      plan: "even",
      like: state.promotions[0]?.promotion_id ?? "",
      plan_file: "",
      source: "",
      scale: "1.1",
    });
    const rows = reactive([emptyRow()]);
    const [problem, busy] = [shallowRef(null), ref(false)];

    /** The targets of an earlier promotion, headcounts scaled. */
    function copy() {
      const from = state.promotions.find((one) => one.promotion_id === form.source);
      const scale = Number(form.scale);
      if (!from || !Number.isFinite(scale) || scale < 0) return;
      rows.splice(
        0,
        rows.length,
        ...cellsOf(from.target).map((cell) => ({
          channel: cell.channel ?? "",
          store_id: cell.store_id ?? "",
          owner: cell.owner,
          layer: cell.layer,
          headcount: String(Math.round(cell.headcount * scale)),
          conversion_rate: typed("conversion_rate", cell.conversion_rate),
          order_value: typed("order_value", cell.order_value),
        })),
      );
    }

    async function save() {
      busy.value = true;
      problem.value = null;
      try {
        await request("POST", "/promotions", {
          body: { definition: definition(form, rows), because: form.because, ...planOf(form) },
        });
        const made = form.promotion_id;
        await loadPromotions();
        state.promotionId = made;
        go(href("/promotions"), { replace: true });
        emit("done");
      } catch (error) {
        problem.value = error;
      }
      busy.value = false;
    }

    return () =>
      panel(
        t("promotion.new"),
        [
          h("div", { class: "form-row" }, [
            field(t("form.id"), form, "promotion_id", { required: true, maxlength: 128 }),
            field(t("form.name"), form, "name", { required: true, maxlength: 128 }),
            field(t("form.owner"), form, "owner", { required: true, maxlength: 128 }),
          ]),
          h("div", { class: "form-row" }, [
            field(t("form.begins"), form, "from", { type: "datetime-local", required: true }),
            ...["presale", "peak", "encore"].map((name) =>
              field(t("form.phase", { phase: t(`phase.${name}`) }), form, name, { type: "datetime-local" }),
            ),
            field(t("form.ends"), form, "to", { type: "datetime-local", required: true }),
          ]),
          state.promotions.length > 0 &&
            h("div", { class: "form-row" }, [
              pick(t("form.copy"), form, "source", [["", "–"], ...state.promotions.map((one) => [one.promotion_id, one.name])]),
              field(t("form.scale"), form, "scale", { inputmode: "decimal" }),
              button(t("form.copy_act"), copy, { disabled: !form.source }),
            ]),
          targets(rows),
          planFields(form),
          h("div", { class: "form-row" }, [
            field(t("form.because"), form, "because", { required: true, maxlength: 1000, placeholder: t("form.because_hint") }),
            button(t("promotion.create"), save, {
              kind: "primary",
              disabled: busy.value || !["promotion_id", "name", "from", "to", "owner", "because"].every((name) => form[name].trim()),
            }),
          ]),
          complaints(problem.value),
        ],
        { id: "create" },
      );
  },
});

/** What the API takes. */
function definition(form, rows) {
  const phases = phasesOf(form).map((one) => ({ ...one, from: writtenTime(one.from), to: writtenTime(one.to) }));
  return {
    promotion_id: form.promotion_id.trim(),
    brand: state.brand,
    name: form.name.trim(),
    window: { from: writtenTime(form.from), to: writtenTime(form.to) },
    phases,
    target: treeOf(rows, form.owner.trim()),
  };
}

/** The phases that were given a beginning, each until the next; what is before the first of them is the teaser. */
function phasesOf(form) {
  const named = ["presale", "peak", "encore"].filter((name) => form[name]).map((name) => ({ phase: name, from: form[name] }));
  if (!named.length) return [];
  const all = named[0].from > form.from ? [{ phase: "teaser", from: form.from }, ...named] : named;
  return all.map((one, i) => ({ ...one, to: all[i + 1]?.from ?? form.to }));
}

function targets(rows) {
  const cell = (row, name, label, more = {}) =>
    cellInput(
      `${label} ${rows.indexOf(row) + 1}`,
      row[name],
      (value) => {
        row[name] = value;
      },
      { "data-row": name, ...more },
    );
  const choices = (row, name, label, options) =>
    h(
      "select",
      {
        "aria-label": `${label} ${rows.indexOf(row) + 1}`,
        value: row[name],
        onChange: (event) => {
          row[name] = event.target.value;
        },
      },
      options.map(([value, text]) => h("option", { value, selected: value === row[name] }, text)),
    );
  const channels = () => [
    ["", t("target.brand")],
    ...(state.facts?.channels ?? []).map((one) => [one.id, one.labels[document.documentElement.lang.slice(0, 2)] ?? one.id]),
  ];
  const layers = () => (state.facts?.layers ?? []).map((one) => [one.id, `${one.id} ${layerName(one.id)}`]);
  const gmv = (row) =>
    (parsed("headcount", row.headcount) ?? 0) *
    (parsed("conversion_rate", row.conversion_rate) ?? 0) *
    (parsed("order_value", row.order_value) ?? 0);
  const names = ["scope", "store", "owner", "layer", "headcount", "conversion_rate", "order_value"];
  return h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": t("panel.cells") }, [
    h("table", {}, [
      h("thead", {}, [
        h("tr", {}, [
          ...names.map((name) => h("th", { scope: "col" }, t(`target.${name}`))),
          h("th", { scope: "col", class: "number" }, t("column.gmv")),
          h("td"),
        ]),
      ]),
      h(
        "tbody",
        {},
        rows.map((row, i) =>
          h("tr", { key: i }, [
            h("td", {}, [choices(row, "channel", t("target.scope"), channels())]),
            h("td", {}, [cell(row, "store_id", t("target.store"))]),
            h("td", {}, [cell(row, "owner", t("target.owner"))]),
            h("td", {}, [choices(row, "layer", t("target.layer"), layers())]),
            ...["headcount", "conversion_rate", "order_value"].map((name) =>
              h("td", {}, [
                h("span", { class: "unit" }, [cell(row, name, t(`target.${name}`), { inputmode: "decimal" }), h("span", {}, unitOf(name))]),
              ]),
            ),
            h("td", { class: "number" }, [figure(money(gmv(row)), `${t("tip.version_target")} ${t("window.all")}`)]),
            h("td", {}, [rows.length > 1 && button("✕", () => rows.splice(i, 1), { "aria-label": t("form.remove_row", { row: i + 1 }) })]),
          ]),
        ),
      ),
    ]),
    h("p", { class: "form-row" }, [
      button(t("form.add_row"), () => rows.push(emptyRow())),
      h("strong", {}, `${t("tile.target", { target: money(rows.reduce((all, row) => all + gmv(row), 0)) })}`),
    ]),
  ]);
}

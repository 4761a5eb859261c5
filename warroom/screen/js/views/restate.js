// Name, window, phases and plan curve of a promotion, changed while it is planned or runs; its targets are adjusted in adjust.js. A change
// builds on the version it was begun on: if somebody else was quicker, both are shown and nothing is lost.

import { defineComponent, h, reactive, ref, shallowRef } from "../../vue.js";
import { get, request, segment } from "../api.js";
import { desk } from "../desk.js";
import { withOffset } from "../format.js";
import { t } from "../i18n.js";
import { loadPromotions, promotion, state, zone } from "../store.js";
import { panel } from "../parts/basics.js";
import { phaseRows, planFields, planOf, typedTime, writtenTime } from "../parts/definition_form.js";
import { button, complaints, field } from "../parts/forms.js";
import { conflictNotice, conflictTable } from "../parts/conflict.js";

const FIELDS = ["name", "from", "to", "phases"];

export const Restate = defineComponent({
  emits: ["done"],
  setup(_, { emit }) {
    const id = promotion.value.promotion_id;
    const base = shallowRef(desk().versions.data?.items.at(-1) ?? promotion.value);
    const theirs = shallowRef(null);
    const earlier = state.promotions.find((one) => one.promotion_id !== id);
    const form = reactive({
      promotion_id: id,
      ...typedOf(base.value),
      plan: "kept",
      like: earlier?.promotion_id ?? "",
      plan_file: "",
      because: "",
      effective: "",
    });
    const [problem, busy] = [shallowRef(null), ref(false)];
    const mine = () => FIELDS.filter((name) => told(form[name]) !== told(typedOf(base.value)[name]));

    async function save() {
      busy.value = true;
      problem.value = null;
      try {
        const headers = { "If-Match": `"${base.value.version}"` };
        await request("PUT", `/promotions/${segment(id)}`, { body: bodyOf(form, base.value), headers });
        desk().refresh();
        await loadPromotions();
        emit("done");
      } catch (error) {
        if (error.status === 412) theirs.value = await get(`/promotions/${segment(id)}`);
        else problem.value = error;
      }
      busy.value = false;
    }

    /** What I changed stays, what I did not touch becomes theirs. */
    function buildOnTheirs() {
      const kept = mine();
      Object.entries(typedOf(theirs.value)).forEach(([name, value]) => {
        if (!kept.includes(name)) form[name] = value;
      });
      base.value = theirs.value;
      theirs.value = null;
    }

    function dropMine() {
      Object.assign(form, typedOf(theirs.value), { plan: "kept" });
      buildOnTheirs();
    }

    /** Phases that began or ended with the window go on doing so. */
    function moveEdge(name, value) {
      form.phases.forEach((row) => {
        if (row[name] === form[name]) row[name] = value;
      });
      form[name] = value;
    }

    const edge = (name, label) =>
      field(label, form, name, { type: "datetime-local", required: true, onInput: (event) => moveEdge(name, event.target.value) });
    const changed = () => mine().length > 0 || form.plan !== "kept";

    return () =>
      panel(
        t("promotion.restate_title", { version: base.value.version }),
        theirs.value
          ? conflict(base.value, theirs.value, form, mine(), buildOnTheirs, dropMine)
          : [
              h("div", { class: "form-row" }, [
                field(t("form.name"), form, "name", { required: true, maxlength: 128 }),
                edge("from", t("form.begins")),
                edge("to", t("form.ends")),
              ]),
              phaseRows(form.phases, form),
              planFields(form, true),
              h("div", { class: "form-row" }, [
                field(t("form.because"), form, "because", { required: true, maxlength: 1000, placeholder: t("form.because_hint") }),
                field(t("form.effective", { zone: zone.value }), form, "effective", { type: "datetime-local" }),
                button(t("promotion.save"), save, { kind: "primary", disabled: busy.value || !changed() || !form.because.trim() }),
              ]),
              complaints(problem.value),
            ],
        { id: "restate" },
      );
  },
});

/** What of a version can be changed here, as it is typed. */
function typedOf(version) {
  const typed = (text) => typedTime(text, zone.value);
  return {
    name: version.name,
    from: typed(version.window.from),
    to: typed(version.window.to),
    phases: version.phases.map((one) => ({ phase: one.phase, from: typed(one.from), to: typed(one.to) })),
  };
}

const told = (value) => JSON.stringify(value);

function bodyOf(form, base) {
  const written = ({ from, to }) => ({ from: writtenTime(from), to: writtenTime(to) });
  return {
    definition: {
      promotion_id: base.promotion_id,
      brand: base.brand,
      name: form.name.trim(),
      window: written(form),
      phases: form.phases.map((row) => ({ phase: row.phase, ...written(row) })),
      target: base.target,
    },
    because: form.because,
    effective_from: form.effective ? withOffset(form.effective, zone.value) : null,
    ...planOf(form),
  };
}

/** Each field that one of us changed: as it was, as I want it, as they saved it. */
function conflict(base, theirs, form, mine, keep, drop) {
  const [before, now] = [typedOf(base), typedOf(theirs)];
  const plan = (version) => t("plan.points", { points: version.plan.length });
  const rows = FIELDS.filter((name) => mine.includes(name) || told(now[name]) !== told(before[name])).map((name) => ({
    what: t(`form.${{ from: "begins", to: "ends" }[name] ?? name}`),
    before: shown(before[name]),
    mine: mine.includes(name) ? shown(form[name]) : null,
    theirs: told(now[name]) === told(before[name]) ? null : shown(now[name]),
  }));
  if (form.plan !== "kept" || told(base.plan) !== told(theirs.plan))
    rows.push({
      what: t("form.plan"),
      before: plan(base),
      mine: form.plan === "kept" ? null : t(`plan.${form.plan}`),
      theirs: told(base.plan) === told(theirs.plan) ? null : plan(theirs),
    });
  if (told(base.target) !== told(theirs.target))
    rows.push({ what: t("panel.cells"), before: "–", mine: null, theirs: t("promotion.version", { version: theirs.version }) });
  return h("div", { class: "conflict", role: "alertdialog", "aria-label": t("conflict.title") }, [
    conflictNotice(theirs),
    conflictTable(rows),
    h("div", { class: "form-row" }, [button(t("conflict.keep"), keep, { kind: "primary" }), button(t("conflict.drop"), drop)]),
  ]);
}

function shown(value) {
  if (!Array.isArray(value)) return value.replace("T", " ");
  const time = (text) => text.slice(5).replace("T", " ");
  return value.map((row) => `${t(`phase.${row.phase}`)} ${time(row.from)}–${time(row.to)}`).join("; ") || "–";
}

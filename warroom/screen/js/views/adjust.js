// Adjusting targets while the promotion runs. A change builds on the version it was begun on: if somebody else was quicker, both are shown
// and nothing is lost.

import { computed, defineComponent, h, reactive, ref, shallowRef } from "../../vue.js";
import { get, request, segment } from "../api.js";
import { desk } from "../desk.js";
import { fullTime, withOffset } from "../format.js";
import { t } from "../i18n.js";
import { live } from "../live.js";
import { layerName, loadPromotions, promotion, zone } from "../store.js";
import { cellsOf, changesOf, editsOf, FIELDS, gmvOfCell, parsed, typed } from "../targets.js";
import { count, figure, money, panel, rate, table } from "../parts/basics.js";
import { button, cellInput, complaints, field, unitOf } from "../parts/forms.js";
import { conflictNotice, conflictTable } from "../parts/conflict.js";
import { saidSpan } from "../windows.js";
import { scopeName } from "./promotions.js";

const MINUTE = 60_000;
const SHOW = { headcount: count, conversion_rate: rate, order_value: money };

export const Adjust = defineComponent({
  emits: ["done"],
  setup(_, { emit }) {
    const id = promotion.value.promotion_id;
    const base = shallowRef(desk().versions.data?.items.at(-1) ?? promotion.value);
    const theirs = shallowRef(null);
    const drafts = reactive({});
    const form = reactive({ because: "", from: nextMinute(base.value) });
    const [problem, busy] = [shallowRef(null), ref(false)];
    const tried = shallowRef(null);
    const cells = computed(() => cellsOf(base.value.target));
    const edits = computed(() => editsOf(cells.value, drafts));

    async function run(work) {
      busy.value = true;
      problem.value = null;
      try {
        await work();
      } catch (error) {
        problem.value = error;
      }
      busy.value = false;
    }

    const tryOut = () =>
      run(async () => {
        tried.value = (await request("POST", `/promotions/${segment(id)}/what-if`, { body: { edits: edits.value } })).body;
      });

    const save = () =>
      run(async () => {
        const body = { edits: edits.value, because: form.because, effective_from: withOffset(form.from, zone.value) };
        try {
          await request("PATCH", `/promotions/${segment(id)}`, { body, headers: { "If-Match": `"${base.value.version}"` } });
        } catch (error) {
          if (error.status !== 412) throw error;
          theirs.value = await get(`/promotions/${segment(id)}`);
          return;
        }
        desk().refresh();
        await loadPromotions();
        emit("done");
      });

    /** My values on top of theirs: what I typed stays, what I did not touch becomes theirs. */
    function buildOnTheirs() {
      base.value = theirs.value;
      theirs.value = null;
      tried.value = null;
      if (Date.parse(base.value.effective_from) > Date.parse(withOffset(form.from, zone.value))) form.from = nextMinute(base.value);
    }

    function dropMine() {
      Object.keys(drafts).forEach((key) => delete drafts[key]);
      buildOnTheirs();
    }

    const newer = () => {
      const newest = desk().versions.data?.items.at(-1);
      return newest && newest.version > base.value.version && !theirs.value ? newest : null;
    };

    return () =>
      panel(
        t("promotion.adjust_title", { version: base.value.version }),
        [
          newer() &&
            h("p", { class: "notice", role: "status" }, t("promotion.newer", { by: newer().changed_by, version: newer().version })),
          theirs.value ? conflict(base.value, theirs.value, drafts, buildOnTheirs, dropMine) : editor(cells.value, drafts),
          !theirs.value &&
            h("div", { class: "form-row" }, [
              field(t("form.because"), form, "because", { required: true, maxlength: 1000, placeholder: t("form.because_hint") }),
              field(t("form.from", { zone: zone.value }), form, "from", { type: "datetime-local" }),
              button(t("promotion.try"), tryOut, { disabled: busy.value || !edits.value.length }),
              button(t("promotion.save"), save, { kind: "primary", disabled: busy.value || !edits.value.length || !form.because.trim() }),
            ]),
          complaints(problem.value),
          tried.value && outcome(tried.value),
        ],
        { kind: "adjust", id: "adjust" },
      );
  },
});

/** The first minute from which a change can count: the next one of the events' clock, but not before the version it builds on. */
function nextMinute(version) {
  const now = live.snapshot?.as_of.watermark ?? Date.now();
  const at = Math.max(now - (now % MINUTE) + MINUTE, Date.parse(version.effective_from));
  return fullTime(at, zone.value).replace(" ", "T");
}

function editor(cells, drafts) {
  const input = (name) => ({
    title: t(`target.${name}`),
    kind: "number",
    cell: (cell) => {
      const key = `${cell.path} ${name}`;
      const text = drafts[key] ?? typed(name, cell[name]);
      return h("span", { class: "unit" }, [
        cellInput(
          `${cell.path} ${t(`target.${name}`)}`,
          text,
          (value) => {
            drafts[key] = value;
          },
          {
            inputmode: "decimal",
            "data-edit": `${cell.path}/${name}`,
            "aria-invalid": parsed(name, text) === null ? "true" : undefined,
            class: ["cell-input", { changed: text !== typed(name, cell[name]) }],
          },
        ),
        h("span", {}, unitOf(name)),
      ]);
    },
  });
  return table(
    t("panel.cells"),
    [
      { title: t("target.scope"), kind: "name", cell: (cell) => [scopeName(cell), h("span", { class: "owner" }, cell.owner)] },
      { title: t("target.layer"), kind: "name", cell: (cell) => `${cell.layer} ${layerName(cell.layer)}` },
      ...FIELDS.map(input),
      { title: t("column.gmv"), kind: "number", cell: (cell) => figure(money(gmvOfCell(drafted(cell, drafts))), targetTip()) },
    ],
    cells,
    { key: (cell) => cell.path },
  );
}

function targetTip() {
  const { from, to } = promotion.value.window;
  return `${t("tip.version_target")} ${saidSpan(from, to)}`;
}

function drafted(cell, drafts) {
  const values = FIELDS.map((name) => [name, parsed(name, drafts[`${cell.path} ${name}`] ?? typed(name, cell[name])) ?? cell[name]]);
  return { ...cell, ...Object.fromEntries(values) };
}

/** Both versions side by side: what each field was, what I wanted, what they saved. */
function conflict(base, theirs, drafts, keep, drop) {
  const mine = new Map(changesOf(cellsOf(base.target), drafts).map((one) => [`${one.path} ${one.field}`, one]));
  const now = new Map(cellsOf(theirs.target).map((cell) => [cell.path, cell]));
  const rows = cellsOf(base.target)
    .flatMap((cell) =>
      FIELDS.map((name) => ({ cell, name, own: mine.get(`${cell.path} ${name}`)?.value, their: now.get(cell.path)?.[name] })),
    )
    .filter((row) => row.own !== undefined || row.their !== row.cell[row.name]);
  const shown = (row, value, unchanged) => (unchanged ? null : SHOW[row.name](value));
  return h("div", { class: "conflict", role: "alertdialog", "aria-label": t("conflict.title") }, [
    conflictNotice(theirs),
    conflictTable(
      rows.map((row) => ({
        what: `${scopeName(row.cell)} ${row.cell.layer} ${t(`target.${row.name}`)}`,
        before: SHOW[row.name](row.cell[row.name]),
        mine: shown(row, row.own, row.own === undefined),
        theirs: shown(row, row.their, row.their === row.cell[row.name]),
      })),
    ),
    h("div", { class: "form-row" }, [button(t("conflict.keep"), keep, { kind: "primary" }), button(t("conflict.drop"), drop)]),
  ]);
}

function outcome(tried) {
  const target = (minor, tag) => figure(money(minor), targetTip(), { tag });
  const ahead = (one, tag) => {
    if (!one) return t("what_if.unknown");
    const [low, high] = [money(one.low), money(one.high)];
    const { from, to } = promotion.value.window;
    return figure(`${money(one.end)} (${low} – ${high})`, `${t("tip.projected", { low, high })} ${saidSpan(from, to)}`, { tag });
  };
  return h("dl", { class: "what-if", "data-what-if": "" }, [
    h("dt", {}, t("what_if.target")),
    h("dd", {}, [target(tried.target_before), " → ", target(tried.target_after, "strong")]),
    h("dt", {}, t("what_if.projected")),
    h("dd", {}, [ahead(tried.projected_before), " → ", ahead(tried.projected_after, "strong")]),
    ...tried.changed.flatMap((one) => [
      h("dt", { key: one.path }, one.path),
      h("dd", {}, [target(one.gmv_before), " → ", target(one.gmv_after)]),
    ]),
  ]);
}

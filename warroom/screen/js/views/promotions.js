// Promotions: how the chosen one stands, cell by cell; its targets are adjusted here, and new ones made.

import { defineComponent, h, ref } from "../../vue.js";
import { API, segment } from "../api.js";
import { desk } from "../desk.js";
import { dayTime } from "../format.js";
import { t } from "../i18n.js";
import { settings } from "../settings.js";
import { channelName, go, href, layerName, may, promotion, state, zone } from "../store.js";
import { gmvOf } from "../targets.js";
import { count, empty, figure, money, panel, rate, table, trouble } from "../parts/basics.js";
import { button } from "../parts/forms.js";
import { pacingChart, sentence } from "../parts/promotion_charts.js";
import { tiles } from "../parts/tiles.js";
import { saidSpan } from "../windows.js";
import { Adjust } from "./adjust.js";
import { Create } from "./create.js";
import { Restate } from "./restate.js";

export const Promotions = defineComponent(() => {
  const mode = ref("show");
  const show = () => {
    mode.value = "show";
  };
  return () =>
    h("div", { class: "stack" }, [
      h("div", { class: "controls" }, [
        h(
          "div",
          { class: "chooser", role: "group", "aria-label": t("head.promotion") },
          state.promotions.map((one) =>
            h(
              "button",
              {
                key: one.promotion_id,
                type: "button",
                class: "quiet",
                "aria-pressed": String(one.promotion_id === state.promotionId),
                onClick: () => {
                  state.promotionId = one.promotion_id;
                  show();
                  go(href("/promotions"), { replace: true });
                },
              },
              `${one.name} · ${dayTime(Date.parse(one.window.from), zone.value)}`,
            ),
          ),
        ),
        h("span", { class: "space" }),
        may("operator") &&
          mode.value === "show" &&
          promotion.value &&
          button(
            t("promotion.adjust"),
            () => {
              mode.value = "adjust";
            },
            { kind: "primary" },
          ),
        may("operator") &&
          mode.value === "show" &&
          promotion.value &&
          button(t("promotion.restate"), () => {
            mode.value = "restate";
          }),
        may("operator") &&
          mode.value === "show" &&
          button(t("promotion.new"), () => {
            mode.value = "create";
          }),
        mode.value !== "show" && button(t("form.cancel"), show),
      ]),
      mode.value === "create" ? h(Create, { onDone: show }) : whole(mode.value, show),
    ]);
});

function whole(mode, show) {
  const one = promotion.value;
  if (!one)
    return panel(t("page.promotions"), empty(t("empty.promotion"), may("operator") ? t("empty.promotion_new") : t("empty.promotion_hint")));
  const { progress } = desk();
  return [
    h("p", { class: "sentence", "data-sentence": "" }, sentence()),
    h("div", { class: "tiles" }, tiles()),
    mode === "adjust" && h(Adjust, { key: one.promotion_id, onDone: show }),
    mode === "restate" && h(Restate, { key: one.promotion_id, onDone: show }),
    h("div", { class: "overview" }, [
      panel(t("panel.pacing"), pacingChart(), { kind: "wide", id: "pacing", explained: t("tip.pacing") }),
      panel(t("panel.versions"), versions(), { id: "versions", aside: report(one) }),
    ]),
    panel(
      t("panel.cells"),
      progress.data ? cells(progress.data) : progress.problem ? trouble(progress.problem) : empty(t("empty.waiting")),
      { id: "cells", explained: t("tip.cells") },
    ),
  ];
}

function report(one) {
  return h(
    "a",
    { href: `${API}/promotions/${segment(one.promotion_id)}/report?lang=${settings.language}`, target: "_blank", rel: "noopener" },
    t("promotion.report"),
  );
}

/** Every version: who, when, why, from when, and the target it set. */
function versions() {
  const items = desk().versions.data?.items ?? [];
  return h(
    "ol",
    { class: "timeline versions" },
    [...items]
      .reverse()
      .map((one, i, all) =>
        h("li", { key: one.version, class: "target" }, [
          h("time", { datetime: one.changed_at }, dayTime(Date.parse(one.changed_at), zone.value)),
          h("span", { class: "mark" }, t("promotion.version", { version: one.version })),
          h("span", { class: "what" }, [
            figure(money(gmvOf(one.target)), `${t("tip.version_target")} ${saidSpan(one.window.from, one.window.to)}`, { tag: "strong" }),
            all[i + 1] && h("span", { class: "detail" }, t("promotion.was", { gmv: money(gmvOf(all[i + 1].target)) })),
            h(
              "span",
              { class: "detail" },
              `${one.changed_by}: ${one.reason} · ${t("promotion.from", { at: dayTime(Date.parse(one.effective_from), zone.value) })}`,
            ),
          ]),
        ]),
      ),
  );
}

/** Original plan, current plan and actual side by side. */
function cells(progress) {
  const { from, to } = promotion.value.window;
  const [soFar, whole] = [saidSpan(from, progress.at), saidSpan(from, to)];
  const three = (name, show, actual) => ({
    title: t(`target.${name}`),
    kind: "number",
    explained: t(`tip.target_${name}`),
    cell: (row) =>
      h("span", { class: "three" }, [
        figure(show(actual(row)), `${t("target.actual")}: ${t(`tip.target_${name}`)} ${soFar}`, { kind: "now" }),
        figure(
          `${show(row.original?.[name])} → ${show(row.current[name])}`,
          `${t("tip.original_current")}: ${t(`tip.target_${name}`)} ${whole}`,
          { kind: "plans" },
        ),
      ]),
  });
  return table(
    t("panel.cells"),
    [
      { title: t("target.scope"), kind: "name", cell: (row) => [scopeName(row), h("span", { class: "owner" }, row.owner)] },
      { title: t("target.layer"), kind: "name", cell: (row) => `${row.layer} ${layerName(row.layer)}` },
      three("headcount", count, (row) => row.actual_headcount),
      three("conversion_rate", rate, (row) => row.actual_rate),
      three("order_value", money, (row) => row.actual_order_value),
      {
        title: t("column.gmv"),
        kind: "number",
        cell: (row) =>
          h("span", { class: "three" }, [
            figure(money(row.actual_gmv), `${t("target.actual")}: ${t("tip.target_gmv")} ${soFar}`, { kind: "now" }),
            figure(t("target.due", { due: money(row.current_so_far) }), `${t("tip.due")} ${soFar}`, { kind: "plans" }),
          ]),
      },
    ],
    progress.cells,
    { key: (row) => row.path, attributes: (row) => ({ "data-cell": row.path }) },
  );
}

/** What a cell covers, as people call it. */
export function scopeName(cell) {
  const channel = cell.channel ? channelName(cell.channel) : "";
  return [channel, cell.store_id].filter(Boolean).join(" ") || t("target.brand");
}

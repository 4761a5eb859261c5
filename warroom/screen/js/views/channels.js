// Channels, campaigns, stores and guides, ranked; each leads to what is behind it: its minutes, its flows, its orders.

import { computed, defineComponent, h } from "../../vue.js";
import { segment, url } from "../api.js";
import { Chart } from "../charts/chart.js";
import { minutesOption } from "../charts/minutes.js";
import { dayTime } from "../format.js";
import { t } from "../i18n.js";
import { usePoll } from "../poll.js";
import { channelName, href, parameter, promotion, state, zone } from "../store.js";
import { count, empty, figure, money, panel, ratio, table, trouble } from "../parts/basics.js";
import { flowsOf, sankey } from "../parts/flows.js";
import { DIMENSIONS, ranking, spend } from "../parts/sales.js";
import { saidSpan, windowShown } from "../windows.js";

const LABELS = { channel: "channel", campaign: "campaign_id", store: "store_id", guide: "guide_id" };
const MINUTE = 60_000;

export const Channels = defineComponent(() => () => {
  const [by, of] = [parameter("by"), parameter("of")];
  return by in LABELS && of
    ? h(Drill, { key: `${by} ${of}`, by, of })
    : h("div", { class: "columns" }, [
        ...DIMENSIONS.map((name) =>
          panel(t("panel.ranking", { dimension: t(`dimension.${name}`) }), ranking(name, 20, { drill: true }), {
            id: name,
            explained: t("tip.ranking"),
          }),
        ),
        panel(t("panel.spend"), spend(20), { id: "spend", explained: t("tip.roi") }),
      ]);
});

/** All about one channel, campaign, store or guide, over the promotion so far (or the day). */
const Drill = defineComponent({
  props: { by: { type: String, required: true }, of: { type: String, required: true } },
  setup(props) {
    const window = computed(() => windowShown(promotion.value));
    const ask = (part, more, seconds) =>
      usePoll(() => (window.value ? url(`/brands/${segment(state.brand)}/${part}`, { ...window.value, ...more }) : ""), seconds);
    const kept = { [LABELS[props.by]]: props.of };
    const steps = ask("steps", { by: props.by, label: props.of, step: 5 }, 10);
    const flows = ask("flows", kept, 10);
    const splits = Object.keys(LABELS)
      .filter((one) => one !== props.by)
      .concat("layer")
      .map((one) => [one, ask("labels", { ...kept, by: one, limit: 10 }, 10)]);
    const whole = ask("labels", { ...kept, by: props.by, limit: 1 }, 10);
    const orders = ["channel", "campaign"].includes(props.by) ? ask("orders", { ...kept, limit: 20 }, 10) : null;
    return () => drilled(props, { window: window.value, steps, flows, splits, whole, orders });
  },
});

function drilled({ by, of }, { window, steps, flows, splits, whole, orders }) {
  const name = by === "channel" ? channelName(of) : of;
  const said = window ? saidSpan(window.from, window.to) : "";
  const problem = [steps, flows, whole].map((one) => one.problem).find(Boolean);
  return h("div", { class: "stack" }, [
    h("div", { class: "controls" }, [
      h("a", { href: href("/channels") }, t("drill.back")),
      h("h2", { class: "drill-name" }, `${t(`by.${by}`)} · ${name}`),
      h("span", { class: "detail" }, said),
    ]),
    problem && trouble(problem),
    totals(whole.data?.[0], said),
    h("div", { class: "columns" }, [
      panel(t("panel.steps"), stepsChart(steps.data), { kind: "tall", id: "steps" }),
      panel(t("panel.flows"), flows.data ? sankey(flowsOf("whole", flows.data)) : empty(t("empty.waiting")), {
        kind: "tall",
        id: "flows",
        explained: t("tip.flows"),
      }),
      ...splits.map(([one, found]) =>
        panel(t("drill.by", { dimension: t(`by.${one}`) }), split(one, found.data, said), { id: `by-${one}` }),
      ),
    ]),
    orders && panel(t("drill.orders"), orderTable(orders.data), { id: "orders" }),
  ]);
}

function totals(line, said) {
  if (!line) return null;
  const one = (name, show, value, tip) =>
    h("section", { class: "tile", "data-drill": name }, [
      h("h2", {}, t(`figure.${name}`)),
      figure(show(value), `${t(`tip.${tip}`)} ${said}`, { kind: "tile-value", tag: "div", "data-value": value }),
    ]);
  return h("div", { class: "tiles" }, [
    one("gmv", money, line.gmv, "gmv"),
    one("orders", count, line.orders, "orders"),
    one("buyers", count, line.buyers, "buyers"),
    line.spend
      ? one("roi", ratio, line.gmv / line.spend, "roi")
      : one("order_value", money, line.orders ? line.gmv / line.orders : null, "order_value"),
  ]);
}

function stepsChart(found) {
  if (!found) return empty(t("empty.waiting"));
  if (!found.orders.some(Boolean)) return empty(t("empty.orders"), t("empty.send"));
  const rows = found.orders.map((orders, i) => ({ at: found.begins + i * found.step_minutes * MINUTE, orders, gmv: found.gmv[i] }));
  return h(Chart, { label: t("panel.steps"), option: minutesOption(rows, { money, count, zone: zone.value, hasEarlier: false }) });
}

function split(by, lines, said) {
  const rows = (lines ?? []).filter((line) => line.label || line.gmv);
  if (!rows.length) return empty(lines ? t("compare.none") : t("empty.waiting"));
  return table(
    t("drill.by", { dimension: t(`by.${by}`) }),
    [
      { title: t(`by.${by}`), kind: "name", cell: (line) => (by === "channel" ? channelName(line.label) : line.label) || t("label.none") },
      {
        title: t("column.gmv"),
        kind: "number",
        cell: (line) => figure(money(line.gmv), `${t("tip.gmv")} ${said}`, { "data-value": line.gmv }),
      },
      { title: t("column.orders"), kind: "number", cell: (line) => figure(count(line.orders), `${t("tip.orders")} ${said}`) },
      { title: t("figure.buyers"), kind: "number", cell: (line) => figure(count(line.buyers), `${t("tip.buyers")} ${said}`) },
    ],
    rows,
    { key: (line) => line.label },
  );
}

function orderTable(found) {
  if (!found?.items.length) return empty(found ? t("empty.orders") : t("empty.waiting"));
  return table(
    t("drill.orders"),
    [
      { title: t("user.at"), kind: "name", cell: (one) => dayTime(one.at, zone.value) },
      { title: t("user.order"), kind: "name", cell: (one) => one.order_id },
      { title: t("user.id"), kind: "name", cell: (one) => one.user_id },
      { title: t("user.layer"), kind: "name", cell: (one) => one.layer_before },
      { title: t("order.type"), kind: "name", cell: (one) => t(`order.${one.type}`) },
      {
        title: t("user.paid"),
        kind: "number",
        cell: (one) =>
          figure(money(one.type === "refund" ? -one.refunded : one.amount), t("tip.order_paid", { at: dayTime(one.at, zone.value) })),
      },
    ],
    found.items,
    { key: (one) => `${one.order_id} ${one.event_id}` },
  );
}

// Flows between layers over a window: as a Sankey diagram, as a matrix, and the rates beside their usual.

import { h } from "../../vue.js";
import { segment, url } from "../api.js";
import { t } from "../i18n.js";
import { Chart } from "../charts/chart.js";
import { sankeyOption } from "../charts/sankey.js";
import { live } from "../live.js";
import { layerName, layerPlace, promotion, state } from "../store.js";
import { saidSpan, windowShown } from "../windows.js";
import { against, count, empty, figure, rate, table } from "./basics.js";

/** The window of so many minutes out of the snapshot, `whole` (what the flows endpoint said) for the promotion. */
export function flowsOf(minutes, whole = null) {
  if (minutes === "whole") return whole ? { minutes: null, flows: whole.map(withDirection) } : null;
  return live.snapshot?.flows.find((one) => one.minutes === Number(minutes)) ?? null;
}

function withDirection(flow) {
  const direction = layerPlace(flow.to_layer) > layerPlace(flow.from_layer) ? "forward" : "reverse";
  return { direction, rate: null, ...flow, usual: null, usual_rate: null };
}

/** Where the flows of a longer window are asked for: STAR's Activating, which has rates; of one channel the sums alone. */
export function wholeFlows(window, channel = "") {
  const brand = `/brands/${segment(state.brand)}`;
  return channel ? url(`${brand}/flows`, { ...window, channel }) : url(`${brand}/star/activating`, window);
}

export function windowText(found) {
  if (!found?.minutes) return t("window.whole");
  return t("window.minutes", { minutes: found.minutes });
}

/** The same for a figure's hover: from when to when. */
function windowTip(found) {
  if (found?.minutes) return saidSpan(found.begins, found.ends);
  const window = windowShown(promotion.value);
  return window ? saidSpan(window.from, window.to) : "";
}

const moved = (found) => found?.flows.filter((flow) => flow.users > 0) ?? [];

/** The Sankey diagram of one direction, or of both. */
export function sankey(found, direction = "both") {
  if (!found) return empty(t("empty.waiting"));
  const flows = moved(found).filter((flow) => direction === "both" || flow.direction === direction);
  if (!flows.length) return empty(t("empty.flows"), t("empty.flows_hint"));
  const label = t("chart.sankey", {
    window: windowText(found),
    told: flows.map((flow) => `${flow.from_layer} → ${flow.to_layer} ${count(flow.users)}`).join(", "),
  });
  return h(Chart, { label, option: sankeyOption(flows, { name: layerName, place: layerPlace, count }) });
}

/** The full matrix: rows left, columns entered; the cells of moves up and moves down are told apart by place, arrow and colour. */
export function matrix(found) {
  if (!found) return empty(t("empty.waiting"));
  const layers = state.facts?.layers.map((layer) => layer.id) ?? [];
  const cells = new Map(found.flows.map((flow) => [`${flow.from_layer}>${flow.to_layer}`, flow]));
  const most = Math.max(1, ...found.flows.map((flow) => flow.users));
  const head = [h("th", { scope: "col" }, t("matrix.from_to")), ...layers.map((to) => h("th", { scope: "col", key: to }, to))];
  const line = (from) =>
    h("tr", { key: from }, [
      h("th", { scope: "row" }, [h("b", {}, from), h("span", { class: "matrix-name" }, layerName(from))]),
      ...layers.map((to) =>
        h(
          "td",
          { key: to },
          from === to ? h("span", { class: "matrix-self" }, "·") : [cell(cells.get(`${from}>${to}`), most, from, to, found)],
        ),
      ),
    ]);
  return h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": t("panel.matrix") }, [
    h("table", { class: "matrix" }, [h("thead", {}, [h("tr", {}, head)]), h("tbody", {}, layers.map(line))]),
  ]);
}

function cell(flow, most, from, to, found) {
  const [users, transitions] = [flow?.users ?? 0, flow?.transitions ?? 0];
  const tip = [t("tip.flow", { from, to, users: count(users), transitions: count(transitions) }), windowTip(found)];
  if (!users) return figure("0", tip.join(" "), { kind: "matrix-none" });
  const heat = Math.ceil((users / most) * 4);
  if (flow.rate !== null) tip.push(t("tip.flow_rate", { rate: rate(flow.rate), usual: rate(flow.usual_rate) }));
  return figure(count(flow.users), tip.join(" "), {
    kind: `matrix-cell ${flow.direction} heat-${heat}`,
    "data-value": flow.users,
    "data-flow": `${from}>${to}`,
  });
}

function usualTip(flow, window) {
  return `${t("tip.usual", { usual: flow.usual === null ? "–" : count(flow.usual), now: count(flow.transitions) })} ${window}`;
}

/** The largest flows forward in one line: their rates, and how far from the usual. */
export function conversionChips(found, most) {
  const flows = (found?.flows ?? []).filter((flow) => flow.direction === "forward" && flow.users > 0).sort((a, b) => b.users - a.users);
  return h(
    "ul",
    { class: "chips" },
    flows
      .slice(0, most)
      .map((flow) =>
        h("li", { key: `${flow.from_layer}${flow.to_layer}` }, [
          h("span", { class: "chip-name" }, `${flow.from_layer} → ${flow.to_layer}`),
          figure(rate(flow.rate), `${t("tip.flow_rate", { rate: rate(flow.rate), usual: rate(flow.usual_rate) })} ${windowTip(found)}`),
          against(
            flow.transitions,
            flow.usual,
            usualTip(flow, windowTip(found)),
          ),
        ]),
      ),
  );
}

/** Conversion rates beside their usual, largest flows first. */
export function conversions(found, most = 6, direction = "forward") {
  const flows = (found?.flows ?? []).filter((flow) => flow.direction === direction && (flow.users > 0 || flow.usual > 0));
  if (!flows.length) return empty(t("empty.flows"), t("empty.flows_hint"));
  flows.sort((a, b) => b.users - a.users);
  const window = windowTip(found);
  return table(
    t("panel.conversions"),
    [
      { title: t("column.flow"), kind: "name", cell: (flow) => `${flow.from_layer} → ${flow.to_layer}` },
      { title: t("column.users"), kind: "number", cell: (flow) => figure(count(flow.users), `${t("tip.flow_users")} ${window}`) },
      {
        title: t("column.rate"),
        kind: "number",
        cell: (flow) => figure(rate(flow.rate), `${t("tip.flow_rate", { rate: rate(flow.rate), usual: rate(flow.usual_rate) })} ${window}`),
      },
      {
        title: t("column.usual"),
        kind: "number",
        cell: (flow) =>
          against(
            flow.transitions,
            flow.usual,
            usualTip(flow, window),
          ),
      },
    ],
    flows.slice(0, most),
    { key: (flow) => `${flow.from_layer}${flow.to_layer}` },
  );
}

// GMV, orders, buyers and order value: of the promotion against its targets, or of the day where there is no promotion.

import { h } from "../../vue.js";
import { t } from "../i18n.js";
import { desk } from "../desk.js";
import { live } from "../live.js";
import { dayTime, NONE } from "../format.js";
import { promotion, state, zone } from "../store.js";
import { saidSpan } from "../windows.js";
import { change, count, figure, meter, money, rate, wholeRate } from "./basics.js";

const FIGURES = [
  ["gmv", money],
  ["orders", count],
  ["buyers", count],
  ["order_value", money],
];

/** The four tiles. */
export function tiles() {
  const progress = desk()?.progress.data;
  if (progress) return FIGURES.map(([name, show]) => targetTile(name, show, progress));
  // not the day's figures meanwhile: nobody should take them for the promotion's
  if (state.promotionId || !state.ready) return FIGURES.map(([name]) => pendingTile(name));
  return FIGURES.map(([name, show]) => dayTile(name, show));
}

function pendingTile(name) {
  const problem = desk()?.progress.problem;
  return h("section", { class: ["tile", { pending: !problem }], key: name, "data-figure": name }, [
    h("h2", {}, t(`figure.${name}`)),
    h("div", { class: "tile-value" }, NONE),
    h("p", { class: "tile-note" }, problem ? t("problem.unreachable") : t("empty.waiting")),
  ]);
}

function dayTile(name, show) {
  const today = live.snapshot?.today;
  const value = today ? (name === "order_value" ? today.order_value : today[name]) : null;
  const window = t("window.today", { from: dayTime(today?.begins, zone.value) });
  return h("section", { class: "tile", key: name, "data-figure": name }, [
    h("h2", {}, t(`figure.${name}`)),
    figure(show(value), `${t(`tip.${name}`)} ${window}`, { kind: "tile-value", tag: "div", "data-value": value }),
    h("p", { class: "tile-note" }, t("tile.no_target")),
  ]);
}

function targetTile(name, show, progress) {
  const totals = progress[name];
  const { from, to } = promotion.value?.window ?? {};
  const [window, whole] = [saidSpan(from, progress.at), saidSpan(from, to)];
  const pace = totals.pace;
  return h("section", { class: "tile", key: name, "data-figure": name }, [
    h("header", {}, [
      h("h2", {}, t(`figure.${name}`)),
      pace === null
        ? null
        : change(
            Math.abs(pace - 1) < 0.005 ? 0 : pace - 1,
            wholeRate(pace),
            `${t("tip.pace", { due: show(totals.current_so_far) })} ${window}`,
          ),
    ]),
    h("div", { class: "tile-row" }, [
      figure(show(totals.actual), `${t(`tip.${name}`)} ${window}`, { kind: "tile-value", tag: "div", "data-value": totals.actual }),
      name === "order_value"
        ? target(show(totals.current), `${t("tip.target_value")} ${whole}`)
        : target(show(totals.current), `${dueTip(totals, show)} ${whole}`, totals.current),
    ]),
    h("div", { class: "tile-meter" }, [meter(totals.actual ?? 0, totals.current, name === "order_value" ? null : totals.current_so_far)]),
    h("p", { class: "tile-note" }, ends(totals.projected, show, whole)),
  ]);
}

function target(shown, tip, value) {
  return figure(t("tile.target", { target: shown }), tip, { kind: "tile-target", "data-target": value });
}

function dueTip(totals, show) {
  const share = rate(totals.current ? totals.current_so_far / totals.current : null);
  return t("tip.target", { original: show(totals.original), due: show(totals.current_so_far), share });
}

function ends(ahead, show, window) {
  if (!ahead) return null;
  const [low, high] = [show(ahead.low), show(ahead.high)];
  const tip = `${t("tip.projected", { low, high })} ${window}`;
  return [
    figure(t("tile.projected", { end: show(ahead.end) }), tip, { kind: "tile-projected" }),
    figure(`${low} – ${high}`, tip, { kind: "tile-range" }),
  ];
}

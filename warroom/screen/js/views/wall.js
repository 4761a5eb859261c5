// The wall: everything at once, nothing scrolls, to be read from four metres.

import { computed, defineComponent, h, onBeforeUnmount, ref } from "../../vue.js";
import { t } from "../i18n.js";
import { dayTime, duration, time } from "../format.js";
import { live } from "../live.js";
import { settings } from "../settings.js";
import { desk } from "../desk.js";
import { promotion, state, zone } from "../store.js";
import { howMany, openAside, openPanel, pressing } from "../parts/alerts.js";
import { panel } from "../parts/basics.js";
import { conversionChips, flowsOf, sankey, wholeFlows, windowText } from "../parts/flows.js";
import { freshnessChip, standing, standstillBanner } from "../parts/freshness.js";
import { ladder } from "../parts/ladder.js";
import { earlierName, minutesChart, pacingChart, sentence } from "../parts/promotion_charts.js";
import { crowd, DIMENSIONS, ranking, spend } from "../parts/sales.js";
import { marks, timeline } from "../parts/timeline.js";
import { tiles } from "../parts/tiles.js";
import { toggles } from "../parts/toggles.js";
import { usePoll } from "../poll.js";
import { windowSoFar } from "../windows.js";

const TURN_MS = 12_000;
const WINDOWS = [60, 15, 5, "whole"];

export const Wall = defineComponent(() => {
  const turn = ref(0);
  let held = false;
  const window = computed(() => windowSoFar(promotion.value));
  const whole = usePoll(() => (window.value ? wholeFlows(window.value) : ""), 20);
  const timer = setInterval(() => {
    if (!held) turn.value += 1;
  }, TURN_MS);
  onBeforeUnmount(() => clearInterval(timer));
  const hold = {
    onPointerenter: () => {
      held = true;
    },
    onPointerleave: () => {
      held = false;
    },
    onFocusin: () => {
      held = true;
    },
    onFocusout: () => {
      held = false;
    },
  };

  return () => {
    const found = flowsOf(WINDOWS[turn.value % WINDOWS.length], whole.data) ?? flowsOf(WINDOWS[0]);
    const dimension = DIMENSIONS[turn.value % DIMENSIONS.length];
    return h("main", { class: ["wall", standing().level] }, [
      head(),
      h("div", { class: "strip" }, standstillBanner() ?? [h("p", { class: "sentence", "data-sentence": "" }, sentence() || hint()), pressing()]),
      h("div", { class: "tiles" }, tiles()),
      panel(t("panel.pacing"), pacingChart(), { kind: "a", id: "pacing", explained: t("tip.pacing") }),
      panel(t("panel.minutes"), minutesChart(), {
        kind: "b",
        id: "minutes",
        aside: earlierName() ? t("minutes.beside", { name: earlierName() }) : null,
        explained: t("tip.minutes"),
      }),
      panel(t("panel.ladder"), ladder(), { kind: "c", id: "ladder", explained: t("tip.ladder") }),
      h("div", { class: "d turning", ...hold }, [
        panel(t("panel.flows"), [sankey(found), conversionChips(found, 2)], {
          id: "flows",
          aside: windowText(found),
          explained: t("tip.flows"),
        }),
      ]),
      h("div", { class: "e stack" }, [
        panel(t("panel.crowd"), crowd(), { id: "crowd", explained: t("tip.crowd") }),
        panel(t("panel.spend"), spend(0), { id: "spend", explained: t("tip.roi") }),
      ]),
      h("div", { class: "f turning", ...hold }, [
        panel(t("panel.ranking", { dimension: t(`dimension.${dimension}`) }), ranking(dimension, 6), {
          id: "ranking",
          aside: dots(turn.value % DIMENSIONS.length),
          explained: t("tip.ranking"),
        }),
      ]),
      h("div", { class: ["g stack", { alerting: howMany() }] }, [
        panel(t("panel.alerts"), openPanel(3, { short: true }), { id: "alerts", aside: openAside(), explained: t("tip.alerts") }),
        panel(t("panel.timeline"), timeline(marks().filter(beside), 5), { id: "timeline" }),
      ]),
    ]);
  };
});

/** Alerts that are open stand above the timeline. */
const beside = (mark) => mark.kind !== "alert" || mark.over_at !== null;

function hint() {
  if (state.ready && !state.brand) return t("empty.brands");
  return state.promotionId ? "" : t("empty.promotion");
}

function dots(on) {
  return h(
    "span",
    { class: "dots", "aria-hidden": "true" },
    DIMENSIONS.map((name, i) => h("i", { class: i === on ? "on" : "" })),
  );
}

function head() {
  const one = promotion.value;
  const phase = desk()?.progress.data?.phase;
  const now = live.snapshot?.as_of.watermark ?? null;
  const left = one && now ? (Date.parse(one.window.to) - now) / 1000 : null;
  return h("header", { class: "wall-head" }, [
    h("h1", {}, [h("span", { class: "brand" }, state.brand || "rflow"), one && h("span", { class: "promotion" }, one.name)]),
    phase && h("span", { class: "phase" }, t(`phase.${phase}`)),
    one &&
      h(
        "span",
        { class: "window" },
        `${dayTime(Date.parse(one.window.from), zone.value)} – ${dayTime(Date.parse(one.window.to), zone.value)}`,
      ),
    left !== null && h("span", { class: "left" }, left > 0 ? t("wall.left", { left: duration(left, settings.language) }) : t("wall.over")),
    h("span", { class: "space" }),
    toggles({ small: true }),
    h("span", { class: "clock", "data-tip": t("tip.clock", { zone: zone.value }), tabindex: 0 }, time(now, zone.value)),
    freshnessChip(),
  ]);
}

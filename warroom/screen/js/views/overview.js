// The day at a glance.

import { defineComponent, h, ref } from "../../vue.js";
import { t } from "../i18n.js";
import { href } from "../store.js";
import { howMany, openAside, openPanel } from "../parts/alerts.js";
import { choice, panel } from "../parts/basics.js";
import { conversions, flowsOf, sankey, windowText } from "../parts/flows.js";
import { ladder } from "../parts/ladder.js";
import { earlierName, minutesChart, pacingChart, sentence } from "../parts/promotion_charts.js";
import { crowd, ranking, spend } from "../parts/sales.js";
import { marks, timeline } from "../parts/timeline.js";
import { tiles } from "../parts/tiles.js";

export const Overview = defineComponent(() => {
  const [of, minutes] = [ref("gmv"), ref(60)];
  const more = (page) => h("a", { href: href(page) }, t("more"));
  return () => {
    const found = flowsOf(60);
    const told = sentence();
    return h("div", { class: "overview" }, [
      told && h("p", { class: "sentence", "data-sentence": "" }, told),
      howMany() > 0 &&
        panel(t("panel.alerts"), openPanel(3), { kind: "full", id: "alerts", aside: [openAside(), more("/alerts")], explained: t("tip.alerts") }),
      h("div", { class: "tiles" }, tiles()),
      panel(t("panel.pacing"), pacingChart(of.value), {
        kind: "wide",
        id: "pacing",
        explained: t("tip.pacing"),
        aside: choice(
          t("panel.pacing"),
          [
            ["gmv", t("figure.gmv")],
            ["orders", t("figure.orders")],
          ],
          of.value,
          (value) => {
            of.value = value;
          },
        ),
      }),
      panel(t("panel.ladder"), ladder(), { id: "ladder", explained: t("tip.ladder") }),
      panel(t("panel.minutes"), minutesChart(minutes.value), {
        kind: "wide",
        id: "minutes",
        explained: t("tip.minutes"),
        aside: [
          earlierName() && t("minutes.beside", { name: earlierName() }),
          choice(
            t("panel.minutes"),
            [
              [60, t("minutes.60")],
              [180, t("minutes.180")],
            ],
            minutes.value,
            (value) => {
              minutes.value = value;
            },
          ),
        ],
      }),
      panel(t("panel.crowd"), crowd(), { id: "crowd", explained: t("tip.crowd") }),
      panel(t("panel.flows"), sankey(found), {
        kind: "wide",
        id: "flows",
        aside: [windowText(found), more("/flows")],
        explained: t("tip.flows"),
      }),
      panel(t("panel.conversions"), conversions(found, 8), { id: "conversions", explained: t("tip.usual_what") }),
      panel(t("panel.ranking", { dimension: t("dimension.channels") }), ranking("channels", 8, { drill: true }), {
        kind: "wide",
        id: "ranking",
        aside: more("/channels"),
        explained: t("tip.ranking"),
      }),
      panel(t("panel.spend"), spend(6), { id: "spend", explained: t("tip.roi") }),
      panel(t("panel.timeline"), timeline(marks(), 8), { kind: "full", id: "timeline", aside: more("/timeline") }),
    ]);
  };
});

// Flows between layers: over the last minutes or the whole promotion, as a diagram and as the full matrix, forward and reverse.

import { computed, defineComponent, h, ref } from "../../vue.js";
import { t } from "../i18n.js";
import { usePoll } from "../poll.js";
import { parameter, promotion, state } from "../store.js";
import { choice, panel, trouble } from "../parts/basics.js";
import { windowSoFar } from "../windows.js";
import { conversions, flowsOf, matrix, sankey, wholeFlows, windowText } from "../parts/flows.js";

export const Flows = defineComponent(() => {
  const [minutes, direction, channel] = [ref("60"), ref("both"), ref(parameter("channel"))];
  const wholeWindow = computed(() => (minutes.value === "whole" || channel.value ? windowSoFar(promotion.value) : null));
  const whole = usePoll(() => (wholeWindow.value ? wholeFlows(wholeWindow.value, channel.value) : ""), 10);
  const windows = () => [
    ["5", t("window.5")],
    ["15", t("window.15")],
    ["60", t("window.60")],
    ...(promotion.value ? [["whole", t("window.whole")]] : []),
  ];
  const directions = () => [
    ["both", t("direction.both")],
    ["forward", t("direction.forward")],
    ["reverse", t("direction.reverse")],
  ];
  const controls = () =>
    h("div", { class: "controls" }, [
      choice(t("control.window"), windows(), minutes.value, (value) => {
        minutes.value = value;
      }),
      choice(t("control.direction"), directions(), direction.value, (value) => {
        direction.value = value;
      }),
      h("label", { class: "picker" }, [
        h("span", {}, t("control.channel")),
        h(
          "select",
          {
            value: channel.value,
            onChange: (event) => {
              channel.value = event.target.value;
              if (channel.value) minutes.value = "whole";
            },
          },
          [
            h("option", { value: "" }, t("control.all")),
            ...(state.facts?.channels ?? []).map((one) =>
              h("option", { key: one.id, value: one.id }, one.labels[document.documentElement.lang.slice(0, 2)] ?? one.id),
            ),
          ],
        ),
      ]),
    ]);

  return () => {
    const found = flowsOf(minutes.value, whole.data);
    return h("div", { class: "stack" }, [
      controls(),
      whole.problem && trouble(whole.problem),
      panel(t("panel.flows"), sankey(found, direction.value), {
        kind: "tall",
        id: "flows",
        aside: windowText(found),
        explained: t("tip.flows"),
      }),
      panel(t("panel.matrix"), matrix(found), { id: "matrix", explained: t("tip.matrix") }),
      h("div", { class: "columns" }, [
        panel(`${t("panel.conversions")} · ${t("direction.forward")}`, conversions(found, 20, "forward"), {
          explained: t("tip.usual_what"),
        }),
        panel(`${t("panel.conversions")} · ${t("direction.reverse")}`, conversions(found, 20, "reverse"), {
          explained: t("tip.usual_what"),
        }),
      ]),
    ]);
  };
});

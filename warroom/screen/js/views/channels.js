// Channels, campaigns, stores and guides of the last hour, ranked; each leads to what is behind it.

import { defineComponent, h } from "../../vue.js";
import { t } from "../i18n.js";
import { panel } from "../parts/basics.js";
import { DIMENSIONS, ranking, spend } from "../parts/sales.js";

export const Channels = defineComponent(() => () => h("div", { class: "stack" }, [
  h("div", { class: "columns" }, [
    ...DIMENSIONS.map((name) => panel(t("panel.ranking", { dimension: t(`dimension.${name}`) }), ranking(name, 20, { drill: true }), { id: name, explained: t("tip.ranking") })),
    panel(t("panel.spend"), spend(20), { id: "spend", explained: t("tip.roi") }),
  ]),
]));

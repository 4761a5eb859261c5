// The ladder as it stands: headcount, share, and how it grew in the last hour.

import { h } from "../../vue.js";
import { t } from "../i18n.js";
import { live } from "../live.js";
import { time } from "../format.js";
import { layerName, zone } from "../store.js";
import { change, count, empty, figure, meter, rate, signed } from "./basics.js";

/** Layers from the highest down. */
export function ladder() {
  const snapshot = live.snapshot;
  if (!snapshot) return empty(t("empty.waiting"));
  if (!snapshot.users) return empty(t("empty.users"), t("empty.send"));
  const most = Math.max(...snapshot.ladder.map((rung) => rung.users), 1);
  const at = time(snapshot.as_of.headcount_at, zone.value);
  const heads = ["", "", t("column.users"), t("column.share"), t("column.growth")];
  return [
    h(
      "div",
      { class: "ladder-heads", "aria-hidden": "true" },
      heads.map((text) => h("span", {}, text)),
    ),
    h(
      "ol",
      { class: "ladder" },
      [...snapshot.ladder].reverse().map((rung) => row(rung, most, at)),
    ),
  ];
}

function row(rung, most, at) {
  const growth = rung.users - rung.change > 0 ? rung.change / (rung.users - rung.change) : null;
  const place = Number.parseInt(rung.layer.replace(/\D/g, ""), 10);
  return h("li", { key: rung.layer, "data-layer": rung.layer }, [
    h("span", { class: "rung-name" }, [h("b", {}, rung.layer), h("span", {}, layerName(rung.layer))]),
    h("span", { class: ["rung-bar", `layer-${Number.isNaN(place) ? 0 : place % 8}`] }, [meter(rung.users, most)]),
    figure(count(rung.users), t("tip.headcount", { layer: rung.layer, at }), { kind: "rung-users", "data-value": rung.users }),
    figure(rate(rung.share), t("tip.share", { crowd: rate(rung.crowd_share), at }), { kind: "rung-share" }),
    change(
      rung.change,
      growth === null ? signed(rung.change) : rate(Math.abs(growth)),
      t("tip.growth", { change: signed(rung.change), entered: count(rung.entered), left: count(rung.left) }),
    ),
  ]);
}

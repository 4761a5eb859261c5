// What happened: target changes, alerts and notes, newest first.

import { h } from "../../vue.js";
import { t } from "../i18n.js";
import { desk } from "../desk.js";
import { dayTime } from "../format.js";
import { zone } from "../store.js";
import { empty, money } from "./basics.js";

/** {at, kind, title, detail} of every change of the promotion's targets. */
export function changes() {
  const versions = desk()?.versions.data?.items ?? [];
  return versions.map((one, i) => ({
    at: Date.parse(one.changed_at),
    kind: "target",
    key: `v${one.version}`,
    title: one.version === 1 ? t("timeline.created", { by: one.changed_by }) : t("timeline.changed", { by: one.changed_by, version: one.version }),
    detail: [one.reason, i > 0 && gmvOf(one.target) !== gmvOf(versions[i - 1].target) ? `${money(gmvOf(versions[i - 1].target))} → ${money(gmvOf(one.target))}` : ""].filter(Boolean).join(" · "),
  }));
}

/** The GMV of a target tree: the sum over its cells. */
export function gmvOf(target) {
  const own = (target.layers ?? []).reduce((all, row) => all + Math.round(row.headcount * row.order_value * row.conversion_rate), 0);
  return own + (target.parts ?? []).reduce((all, part) => all + gmvOf(part), 0);
}

/** Entries as a list, newest first. */
export function timeline(entries, most = 50) {
  if (!entries.length) return empty(t("empty.timeline"));
  const sorted = [...entries].sort((a, b) => b.at - a.at).slice(0, most);
  return h("ol", { class: "timeline" }, sorted.map((one) => h("li", { key: one.key, class: one.kind }, [
    h("time", { datetime: new Date(one.at).toISOString() }, dayTime(one.at, zone.value)),
    h("span", { class: "mark" }, t(`timeline.${one.kind}`)),
    h("span", { class: "what" }, [h("strong", {}, one.title), one.detail && h("span", { class: "detail" }, one.detail)]),
  ])));
}

// What happened: target changes, alerts and notes, newest first.

import { h } from "../../vue.js";
import { named, t } from "../i18n.js";
import { desk } from "../desk.js";
import { dayTime } from "../format.js";
import { zone } from "../store.js";
import { empty, money } from "./basics.js";

/** {at, kind, key, title, detail} of every mark that the server tells of the window shown. */
export function marks() {
  const items = desk()?.timeline.data?.items ?? [];
  // a newer server may tell of more kinds than this page, loaded before it, knows
  return items.filter((one) => one.kind in KINDS).map((one) => ({ ...one, ...KINDS[one.kind](one) }));
}

function target(one) {
  const changed = one.gmv_before !== null && one.gmv_before !== one.gmv_after;
  return {
    key: `${one.promotion_id} ${one.version}`,
    title:
      one.version === 1
        ? t("timeline.created", { by: one.changed_by, name: one.name })
        : t("timeline.changed", { by: one.changed_by, version: one.version }),
    detail: [one.reason, changed && `${money(one.gmv_before)} → ${money(one.gmv_after)}`].filter(Boolean).join(" · "),
  };
}

const note = (one) => ({ key: one.note_id, title: one.text, detail: one.author });

function alert(one) {
  const over = one.over_at ? t("alert.over", { at: dayTime(one.over_at, zone.value) }) : t("alert_state.firing");
  const taken = one.acknowledged_by && t("alert.taken", { by: one.acknowledged_by });
  return { key: one.alert_id, title: named(one.title), detail: [t(`severity.${one.severity}`), over, taken].filter(Boolean).join(" · ") };
}
const KINDS = { target, note, alert };

/** Entries as a list, newest first; `act` gives what may be done about one. */
export function timeline(entries, most = 50, act = null) {
  if (!entries.length) return empty(t("empty.timeline"));
  const sorted = [...entries].sort((a, b) => b.at - a.at).slice(0, most);
  return h(
    "ol",
    { class: "timeline" },
    sorted.map((one) =>
      h("li", { key: one.key, class: one.kind }, [
        h("time", { datetime: new Date(one.at).toISOString() }, dayTime(one.at, zone.value)),
        h("span", { class: "mark" }, t(`timeline.${one.kind}`)),
        h("span", { class: "what" }, [h("strong", {}, one.title), one.detail && h("span", { class: "detail" }, one.detail), act?.(one)]),
      ]),
    ),
  );
}

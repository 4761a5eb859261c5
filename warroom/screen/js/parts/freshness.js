// How old the data is, always; and if it stands still, since when and why.

import { h } from "../../vue.js";
import { t } from "../i18n.js";
import { live } from "../live.js";
import { duration, time } from "../format.js";
import { settings } from "../settings.js";
import { state, zone } from "../store.js";

/** {level, causes}: `live`, `waiting` before the first snapshot, `still` if the server says what stands still, `broken` if it says nothing. */
export function standing() {
  if (live.link === "broken" || state.failed?.status === 0)
    return { level: "broken", causes: [{ reason: "link_broken", seconds: live.silent }] };
  if (live.freshness && !live.freshness.live) return { level: "still", causes: live.freshness.causes };
  if (!live.snapshot) return { level: "waiting", causes: [] };
  if (live.age !== null && live.age > 15) return { level: "still", causes: [{ reason: "figures_late", seconds: live.age }] };
  return { level: "live", causes: [] };
}

/** Seconds since what is shown was the present: since it was computed, or longer where what it was computed from stands still. */
function seconds() {
  return Math.max(live.age, ...standing().causes.map((cause) => cause.seconds));
}

const age = () => (live.age === null ? "–" : duration(seconds(), settings.language));
const MARKS = { live: "●", waiting: "○", still: "▲", broken: "✕" };

/** The chip of every page's head: the age of the figures and the event time they have reached. */
export function freshnessChip() {
  const { level } = standing();
  const upto = time(live.snapshot?.as_of.watermark, zone.value);
  const text = level === "waiting" ? t("fresh.waiting") : t("fresh.age", { age: age() });
  const tip = t("fresh.tip", { age: age(), upto, zone: zone.value });
  return h(
    "div",
    {
      class: ["fresh", level],
      tabindex: 0,
      role: "note",
      "data-tip": tip,
      "data-level": level,
      "aria-label": `${t(`fresh.${level}`)}. ${tip}`,
    },
    [
      h("span", { class: "fresh-mark", "aria-hidden": "true" }, MARKS[level]),
      h("span", { class: "fresh-age" }, text),
      h("span", { class: "fresh-upto" }, live.snapshot ? t("fresh.upto", { upto }) : ""),
    ],
  );
}

/** The banner while figures do not move: what is shown is old, and this is why. Null while all is well. */
export function standstillBanner() {
  const { level, causes } = standing();
  if (level !== "still" && level !== "broken") return null;
  return h("div", { class: ["banner", level], role: "alert", "data-banner": causes[0]?.reason }, [
    h("strong", {}, [h("span", { "aria-hidden": "true" }, "⚠ "), t("fresh.stands", { age: age() })]),
    h(
      "span",
      { class: "banner-why" },
      causes.map((cause) => t(`reason.${cause.reason}`, { seconds: duration(cause.seconds, settings.language) })).join(t("list.stop")),
    ),
  ]);
}

// How the chosen promotion stands: asked once for all parts of a page that show it.

import { computed, watch } from "../vue.js";
import { segment, url } from "./api.js";
import { usePoll } from "./poll.js";
import { loadPromotions, promotion, state } from "./store.js";
import { live } from "./live.js";

let shared = null;

/** {progress, pacing, beside, versions, timeline, alerts}, each {data, problem}, of the chosen promotion and its brand; `refresh` asks for all of them now. */
export function startDesk() {
  const of =
    (part, parameters = {}) =>
    () =>
      state.promotionId ? url(`/promotions/${segment(state.promotionId)}/${part}`, parameters) : "";
  const step = computed(() => pacingStep(promotion.value));
  shared = {
    progress: usePoll(of("progress"), 2),
    pacing: usePoll(() => (state.promotionId ? of("pacing", { step: step.value })() : ""), 10),
    beside: usePoll(of("beside", { step: 1 }), 30),
    versions: usePoll(of("versions"), 30),
    timeline: usePoll(() => timelineOf(promotion.value), 10),
    alerts: usePoll(() => (state.brand ? `/brands/${segment(state.brand)}/open-alerts` : ""), 3),
  };
  shared.refresh = () => [shared.progress, shared.pacing, shared.versions, shared.timeline].forEach((one) => one.refresh());
  // Whoever changes a target: all screens hear of it by the one thing that each asks for often.
  watch(
    () => shared.progress.data?.newest_version,
    (now, before) => before && now && loadPromotions(), // a name or window may be another
  );
  watch(
    () => [shared.progress.data?.newest_version, shared.progress.data?.version].join(),
    () => {
      [shared.pacing, shared.versions, shared.timeline].forEach((one) => one.refresh());
    },
  );
  return shared;
}

export const desk = () => shared;

/** The timeline of the promotion's window, or of the last day where there is none. */
function timelineOf(one) {
  const hour = Math.ceil((live.snapshot?.as_of.watermark ?? 0) / 3_600_000) * 3_600_000;
  if (!state.brand || (!one && !hour)) return "";
  const [from, to] = one ? [one.window.from, one.window.to] : [new Date(hour - 86_400_000).toISOString(), new Date(hour).toISOString()];
  return url(`/brands/${segment(state.brand)}/timeline`, { from, to });
}

/** Minutes between the points of the pacing chart: about three hundred in all. */
function pacingStep(one) {
  if (!one) return 5;
  const minutes = (Date.parse(one.window.to) - Date.parse(one.window.from)) / 60_000;
  return Math.min(1_440, Math.max(1, Math.ceil(minutes / 300)));
}

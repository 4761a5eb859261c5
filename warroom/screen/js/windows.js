// Windows of time as the API takes them: whole minutes.

import { dayTime } from "./format.js";
import { t } from "./i18n.js";
import { live } from "./live.js";
import { zone } from "./store.js";

const MINUTE = 60_000;

/** What a figure's hover says of its window: from, to (times or epoch milliseconds). */
export function saidSpan(from, to) {
  const at = (time) => dayTime(typeof time === "string" ? Date.parse(time) : time, zone.value);
  return t("window.span", { from: at(from), to: at(to) });
}

/** A promotion's window so far, as parameters of the API; null while it has not begun or nothing is known. */
export function windowSoFar(promotion) {
  const now = live.snapshot?.as_of.watermark;
  if (!promotion || !now) return null;
  const [from, end] = [Date.parse(promotion.window.from), Date.parse(promotion.window.to)];
  const to = Math.min(end, now - (now % MINUTE) + MINUTE);
  return to > from ? { from: new Date(from).toISOString(), to: new Date(to).toISOString() } : null;
}

/** The promotion's window so far, or where there is none the brand's day so far. */
export function windowShown(promotion) {
  const [now, begins] = [live.snapshot?.as_of.watermark, live.snapshot?.today.begins];
  return (
    windowSoFar(promotion) ??
    (now ? { from: new Date(begins).toISOString(), to: new Date(now - (now % MINUTE) + MINUTE).toISOString() } : null)
  );
}

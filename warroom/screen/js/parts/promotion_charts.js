// The promotion's charts: pacing against its plans, and its minutes beside an earlier promotion.

import { h } from "../../vue.js";
import { t } from "../i18n.js";
import { Chart } from "../charts/chart.js";
import { minuteRows, minutesOption } from "../charts/minutes.js";
import { pacingOption } from "../charts/pacing.js";
import { desk } from "../desk.js";
import { live } from "../live.js";
import { settings } from "../settings.js";
import { state, zone } from "../store.js";
import { count, empty, money, trouble } from "./basics.js";

/** Plan curves, actual and projection of GMV or orders. */
export function pacingChart(of = "gmv") {
  if (!state.promotionId) return empty(t("empty.promotion"), t("empty.promotion_hint"));
  const { pacing, progress, versions } = desk();
  if (!pacing.data) return pacing.problem ? trouble(pacing.problem) : empty(t("empty.waiting"));
  const show = of === "gmv" ? money : count;
  const changes = (versions.data?.items ?? []).slice(1).map((one) => Date.parse(one.effective_from));
  const totals = progress.data?.[of];
  const label = t("chart.pacing", {
    actual: show(totals?.actual),
    due: show(totals?.current_so_far),
    target: show(totals?.current),
    end: show(totals?.projected?.end),
  });
  return h(Chart, { label, option: pacingOption(pacing.data, pacing.data[of], show, zone.value, changes) });
}

/** Orders and GMV of the last minutes beside the same clock time of an earlier promotion. */
export function minutesChart(most = 60) {
  const minutes = live.snapshot?.minutes;
  if (!minutes) return empty(t("empty.waiting"));
  const rows = minuteRows(minutes, desk()?.beside.data, most);
  if (!rows.some((row) => row.orders)) return empty(t("empty.orders"), t("empty.send"));
  const hasEarlier = rows.some((row) => row.earlierOrders !== null);
  const last = rows.at(-2) ?? rows.at(-1);
  const label = t("chart.minutes", { minutes: rows.length, orders: count(last.orders), gmv: money(last.gmv) });
  return h(Chart, { label, option: minutesOption(rows, { money, count, zone: zone.value, hasEarlier }) });
}

/** The shortfall (or what is more) in one sentence, as the server states it. */
export function sentence() {
  const progress = desk()?.progress.data;
  return progress ? progress.sentence[settings.language] : "";
}

/** The name of the earlier promotion that minutes stand beside, empty without one. */
export function earlierName() {
  const id = desk()?.beside.data?.earlier_id;
  return id ? (state.promotions.find((one) => one.promotion_id === id)?.name ?? id) : "";
}

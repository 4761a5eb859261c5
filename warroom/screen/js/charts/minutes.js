// Orders and GMV minute by minute, beside the same clock time of an earlier promotion.

import { common, plain } from "./chart.js";
import { t } from "../i18n.js";
import { time } from "../format.js";

const MINUTE = 60_000;

/** `rows`: {at, orders, gmv, earlierOrders, earlierGmv}, the last of them still running. */
export function minutesOption(rows, { money, count, zone, hasEarlier }) {
  return (c, unit) => {
    const base = common(c, unit);
    const times = rows.map((row) => time(row.at, zone, false));
    const bars = (i, name, values) => ({
      name,
      type: "bar",
      xAxisIndex: i,
      yAxisIndex: i,
      barCategoryGap: "20%",
      itemStyle: { color: c.accent },
      data: values.map((value, n) => (n === values.length - 1 ? { value, itemStyle: { opacity: 0.45 } } : value)),
    });
    const before = (i, name, values) => ({
      name,
      type: "line",
      xAxisIndex: i,
      yAxisIndex: i,
      showSymbol: false,
      step: "middle",
      lineStyle: { color: c.earlier, width: unit * 0.16 },
      itemStyle: { color: c.earlier },
      data: values,
    });
    const axis = (i) => ({
      ...base.axis,
      gridIndex: i,
      type: "category",
      data: times,
      splitLine: { show: false },
      axisLabel: { ...base.text, show: i === 1, interval: Math.ceil(rows.length / 5) },
    });
    const scale = (i, formatter) => ({
      ...base.axis,
      gridIndex: i,
      type: "value",
      min: 0,
      splitNumber: 2,
      axisLine: { show: false },
      axisLabel: { ...base.text, formatter: plain(formatter), hideOverlap: true },
    });
    const side = { left: unit * 4.6, right: unit * 0.6 };
    return {
      ...base,
      grid: [
        { ...side, top: unit * 2.2, height: "30%" },
        { ...side, top: "54%", bottom: unit * 2 },
      ],
      title: [
        { text: t("minutes.orders"), left: 0, top: 0, textStyle: { ...base.text, color: c.text, fontWeight: "normal" } },
        { text: t("minutes.gmv"), left: 0, top: "43%", textStyle: { ...base.text, color: c.text, fontWeight: "normal" } },
      ],
      legend: hasEarlier
        ? {
            top: 0,
            right: 0,
            itemWidth: unit * 1.2,
            itemHeight: unit * 0.6,
            textStyle: { ...base.text, color: c.text },
            data: [t("minutes.now"), t("minutes.earlier")],
          }
        : { show: false },
      tooltip: { ...base.tooltip, trigger: "axis", formatter: (all) => tip(all, rows, money, count, hasEarlier) },
      axisPointer: { link: [{ xAxisIndex: "all" }] },
      xAxis: [axis(0), axis(1)],
      yAxis: [scale(0, count), scale(1, money)],
      series: [
        bars(
          0,
          t("minutes.now"),
          rows.map((row) => row.orders),
        ),
        bars(
          1,
          t("minutes.now"),
          rows.map((row) => row.gmv),
        ),
        ...(hasEarlier
          ? [
              before(
                0,
                t("minutes.earlier"),
                rows.map((row) => row.earlierOrders),
              ),
              before(
                1,
                t("minutes.earlier"),
                rows.map((row) => row.earlierGmv),
              ),
            ]
          : []),
      ],
    };
  };
}

function tip(all, rows, money, count, hasEarlier) {
  const row = rows[all[0].dataIndex];
  const lines = [all[0].axisValueLabel, `${t("minutes.orders")}  ${count(row.orders)}`, `${t("minutes.gmv")}  ${money(row.gmv)}`];
  if (hasEarlier) lines.push(`${t("minutes.earlier")}  ${count(row.earlierOrders)} · ${money(row.earlierGmv)}`);
  return lines.join("\n");
}

/** The last `most` minutes of the snapshot beside those of an earlier promotion (the answer of `beside`, which may be missing). */
export function minuteRows(minutes, beside, most) {
  const from = Math.max(0, minutes.orders.length - most);
  const earlier = beside?.earlier_id ? beside : null;
  return minutes.orders.slice(from).map((orders, i) => {
    const at = minutes.begins + (from + i) * MINUTE;
    const place = earlier ? Math.round((at - earlier.begins) / MINUTE / earlier.step_minutes) : -1;
    return {
      at,
      orders,
      gmv: minutes.gmv[from + i],
      earlierOrders: earlier?.earlier_orders[place] ?? null,
      earlierGmv: earlier?.earlier_gmv[place] ?? null,
    };
  });
}

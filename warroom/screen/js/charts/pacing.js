// The pacing chart: original and current plan, what has been reached, where it is going and within which range.

import { common, plain } from "./chart.js";
import { t } from "../i18n.js";
import { dayTime, time } from "../format.js";

/** ECharts' option of `lines` (GMV or orders of the pacing answer); `show` writes a value. */
export function pacingOption(pacing, lines, show, zone, changes = []) {
  return (c, unit) => {
    const base = common(c, unit);
    const points = (values) => pacing.at.map((at, i) => [at, values[i]]);
    const line = (name, values, colour, more = {}) => ({
      name,
      type: "line",
      showSymbol: false,
      data: points(values),
      itemStyle: { color: colour },
      lineStyle: { color: colour, width: unit * 0.18, ...more },
      z: 3,
    });
    const band = lines.high.map((high, i) => (high === null ? null : high - lines.low[i]));
    const range = {
      type: "line",
      stack: "range",
      showSymbol: false,
      silent: true,
      lineStyle: { width: 0 },
      tooltip: { show: false },
      z: 1,
    };
    return {
      ...base,
      grid: { left: unit * 4.6, right: unit * 1.2, top: unit * 2.4, bottom: unit * 2 },
      legend: {
        top: 0,
        left: 0,
        itemWidth: unit * 1.4,
        itemHeight: unit * 0.5,
        itemGap: unit,
        textStyle: { ...base.text, color: c.text },
        data: [t("pacing.actual"), t("pacing.plan"), t("pacing.original"), t("pacing.projected")],
      },
      tooltip: {
        ...base.tooltip,
        trigger: "axis",
        formatter: (all) =>
          [
            dayTime(all[0].value[0], zone),
            ...all
              .filter((one) => one.value[1] !== null && !one.seriesId?.startsWith("range"))
              .map((one) => `${one.seriesName}  ${show(one.value[1])}`),
          ].join("\n"),
      },
      xAxis: {
        ...base.axis,
        type: "time",
        min: pacing.at[0],
        max: pacing.at.at(-1),
        splitNumber: 4,
        splitLine: { show: false },
        axisLabel: { ...base.text, hideOverlap: true, formatter: (at) => time(at, zone, false) },
      },
      yAxis: {
        ...base.axis,
        type: "value",
        min: 0,
        splitNumber: 3,
        axisLine: { show: false },
        axisLabel: { ...base.text, formatter: plain(show) },
      },
      series: [
        { ...range, id: "range-low", data: points(lines.low) },
        { ...range, id: "range-width", data: points(band), areaStyle: { color: c.forecast, opacity: 0.22 } },
        line(t("pacing.original"), lines.original, c.muted, { type: "dotted" }),
        line(t("pacing.plan"), lines.planned, c.plan, { type: "dashed" }),
        line(t("pacing.projected"), lines.projected, c.forecast, { type: [unit * 0.5, unit * 0.3] }),
        {
          ...line(t("pacing.actual"), lines.actual, c.accent, { width: unit * 0.3 }),
          markLine: {
            silent: true,
            symbol: "none",
            label: { show: false },
            lineStyle: { color: c.muted, type: "solid", width: 1 },
            data: [{ xAxis: pacing.now }, ...changes.map((at) => ({ xAxis: at, lineStyle: { color: c.plan, type: "dashed" } }))],
          },
        },
      ],
    };
  };
}

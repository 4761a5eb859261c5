// Who went from which layer to which: layers before on the left, after on the right, so that moves down are seen as well as moves up.

import { common } from "./chart.js";
import { t } from "../i18n.js";

/** `flows`: {from_layer, to_layer, direction, users}; `name` and `place` tell of a layer; `count` writes users. */
export function sankeyOption(flows, { name, place, count }) {
  return (c, unit) => {
    const base = common(c, unit);
    const told = flows.filter((flow) => flow.users > 0);
    const node = (side) => (layer) => ({
      name: `${side}:${layer}`,
      depth: side === "from" ? 0 : 1,
      itemStyle: { color: c.layers[place(layer) % c.layers.length], borderWidth: 0 },
      label: {
        position: side === "from" ? "right" : "left",
        formatter: () => `${layer} ${name(layer)}  ${count(sum(told, `${side}_layer`, layer))}`,
      },
    });
    const layers = (key) => [...new Set(told.map((flow) => flow[key]))].sort((a, b) => place(b) - place(a));
    return {
      ...base,
      tooltip: {
        ...base.tooltip,
        trigger: "item",
        formatter: (one) =>
          one.dataType === "edge"
            ? `${one.data.told}  ${count(one.data.value)}`
            : `${one.name.slice(one.name.indexOf(":") + 1)}  ${count(one.value)}`,
      },
      series: [
        {
          type: "sankey",
          left: 0,
          right: 0,
          top: unit * 0.4,
          bottom: unit * 0.9,
          nodeWidth: unit * 0.9,
          nodeGap: base.text.fontSize * 0.8,
          layoutIterations: 0,
          draggable: false,
          emphasis: { focus: "adjacency" },
          label: { color: c.text, fontSize: base.text.fontSize, textBorderColor: c.panel, textBorderWidth: unit * 0.22 },
          data: [...layers("from_layer").map(node("from")), ...layers("to_layer").map(node("to"))],
          links: told.map((flow) => ({
            source: `from:${flow.from_layer}`,
            target: `to:${flow.to_layer}`,
            value: flow.users,
            told: `${flow.from_layer} → ${flow.to_layer} ${t(`direction.${flow.direction}`)}`,
            lineStyle: { color: flow.direction === "forward" ? c.up : c.down, opacity: 0.45, curveness: 0.5 },
          })),
        },
      ],
    };
  };
}

function sum(flows, key, layer) {
  return flows.filter((flow) => flow[key] === layer).reduce((all, flow) => all + flow.users, 0);
}

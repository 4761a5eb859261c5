// ECharts in an element: loaded when the first chart is shown, drawn anew when its option changes, fitted to its place.

import { defineComponent, h, onBeforeUnmount, onMounted, ref, shallowRef, watch } from "../../vue.js";
import { theme, upColour } from "../settings.js";

let loading = null;

/** ECharts itself, a megabyte: after the figures, which do not wait for it. */
export function loadCharts() {
  loading ??= import("../../echarts/index.js").then((found) => found.echarts);
  return loading;
}

/** A chart. `option` gives ECharts' option from colours and a unit (pixels of one rem); `label` says it in words. */
export const Chart = defineComponent({
  props: { option: { type: Function, required: true }, label: { type: String, required: true }, kind: { type: String, default: "" } },
  emits: ["pick"],
  setup(props, { emit }) {
    const place = ref(null);
    const chart = shallowRef(null);
    let observer = null;

    function draw() {
      if (!chart.value) return;
      const unit = parseFloat(getComputedStyle(document.documentElement).fontSize);
      const option = props.option(colours(), unit);
      if (option)
        chart.value.setOption(
          { animation: false, aria: { enabled: false }, ...option },
          { replaceMerge: ["series", "xAxis", "yAxis", "grid"] },
        );
    }

    onMounted(async () => {
      const echarts = await loadCharts();
      if (!place.value) return; // left meanwhile
      chart.value = echarts.init(place.value, null, { renderer: "canvas" });
      chart.value.on("click", (event) => emit("pick", event.data?.pick ?? event.name));
      observer = new ResizeObserver(() => {
        chart.value?.resize();
        draw();
      });
      observer.observe(place.value);
      draw();
    });
    watch([() => props.option, theme, upColour], draw);
    onBeforeUnmount(() => {
      observer?.disconnect();
      chart.value?.dispose();
      chart.value = null;
    });
    return () => h("div", { class: ["chart", props.kind], role: "img", "aria-label": props.label, ref: place });
  },
});

const NAMES = ["text", "muted", "line", "panel", "accent", "plan", "earlier", "forecast", "up", "down", "new", "known"];

/** The colours of the theme, as CSS tells them. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const found = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  found.layers = Array.from({ length: 8 }, (_, i) => style.getPropertyValue(`--layer-${i}`).trim());
  return found;
}

/** A figure as an axis shows it: `¥300万` rather than `¥300.0万`. */
export const plain = (show) => (value) => show(value).replace(/\.0+(?!\d)/, "");

/** What axes and tooltips of all charts have in common. Tooltips are drawn on the canvas: as HTML they would need inline styles. */
export function common(c, unit) {
  const text = { color: c.muted, fontSize: unit * (document.querySelector(".wall") ? 1.125 : 0.8125) };
  return {
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    tooltip: {
      renderMode: "richText",
      confine: true,
      backgroundColor: c.panel,
      borderColor: c.line,
      textStyle: { color: c.text, fontSize: unit },
      axisPointer: { lineStyle: { color: c.muted } },
    },
    axis: {
      axisLabel: text,
      axisLine: { lineStyle: { color: c.line } },
      axisTick: { show: false },
      splitLine: { lineStyle: { color: c.line, opacity: 0.5 } },
    },
    text,
  };
}

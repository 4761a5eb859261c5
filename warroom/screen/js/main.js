// Where it begins: who is here, which page the address asks for.

import { createApp, defineComponent, h } from "../vue.js";
import { startDesk } from "./desk.js";
import { loadCharts } from "./charts/chart.js";
import { startTips } from "./parts/tip.js";
import { enter, go, state } from "./store.js";
import { Shell } from "./views/shell.js";
import { SignIn } from "./views/signin.js";
import { Wall } from "./views/wall.js";

const App = defineComponent(() => {
  startDesk();
  return () => (state.page === "/wall" ? h(Wall) : h(Shell));
});

/** Links within the screen change the page without loading it again. */
function follow(event) {
  const link = event.target.closest?.("a[href]");
  if (
    !link ||
    event.defaultPrevented ||
    event.button ||
    event.ctrlKey ||
    event.metaKey ||
    event.shiftKey ||
    link.target ||
    link.hasAttribute("download")
  )
    return;
  const at = new URL(link.href);
  if (at.origin !== location.origin || at.pathname.startsWith("/api/")) return;
  event.preventDefault();
  go(at.pathname + at.search);
}

startTips();
if (location.pathname === "/signin") {
  createApp(SignIn).mount("#app");
} else {
  enter();
  createApp(App).mount("#app");
  document.addEventListener("click", follow);
  requestAnimationFrame(() => setTimeout(loadCharts)); // after the first paint
}

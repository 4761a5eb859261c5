// Laptop and phone: the head with brand, promotion and the age of the data, the pages, and the page itself.

import { defineComponent, h } from "../../vue.js";
import { t } from "../i18n.js";
import { go, href, may, signOut, state } from "../store.js";
import { howMany, openAlerts, severity } from "../parts/alerts.js";
import { empty, panel, trouble } from "../parts/basics.js";
import { freshnessChip, standing, standstillBanner } from "../parts/freshness.js";
import { toggles } from "../parts/toggles.js";
import { Alerts } from "./alerts.js";
import { Audit } from "./audit.js";
import { Channels } from "./channels.js";
import { Compare } from "./compare.js";
import { Flows } from "./flows.js";
import { Overview } from "./overview.js";
import { Promotions } from "./promotions.js";
import { TimelinePage } from "./timeline.js";
import { Users } from "./users.js";

const PAGES = [
  { path: "/", name: "overview", view: Overview, role: "viewer" },
  { path: "/flows", name: "flows", view: Flows, role: "viewer" },
  { path: "/channels", name: "channels", view: Channels, role: "viewer" },
  { path: "/promotions", name: "promotions", view: Promotions, role: "viewer" },
  { path: "/compare", name: "compare", view: Compare, role: "viewer" },
  { path: "/alerts", name: "alerts", view: Alerts, role: "viewer" },
  { path: "/timeline", name: "timeline", view: TimelinePage, role: "viewer" },
  { path: "/users", name: "users", view: Users, role: "operator" },
  { path: "/audit", name: "audit", view: Audit, role: "admin" },
];

export const Shell = defineComponent(() => () => {
  const page = PAGES.find((one) => one.path === state.page && may(one.role)) ?? PAGES[0];
  document.title = `${t(`page.${page.name}`)} · ${state.brand || "rflow"}`;
  return h("div", { class: ["desk", standing().level] }, [
    h("a", { class: "skip", href: "#page" }, t("skip")),
    head(page),
    standstillBanner(),
    h("main", { id: "page", class: `page page-${page.name}`, tabindex: -1 }, [
      h("h1", { class: "unseen" }, t(`page.${page.name}`)),
      state.failed && trouble(state.failed),
      state.ready && !state.brand && panel(t("head.brand"), empty(t("empty.brands"))),
      state.ready && state.brand && h(page.view, { key: `${page.name} ${state.brand} ${page.name === "channels" ? state.query : ""}` }),
    ]),
  ]);
});

function head(page) {
  return h("header", { class: "desk-head" }, [
    h("div", { class: "desk-bar" }, [
      h("a", { class: "logo", href: href("/") }, [
        h("img", { src: new URL("../../icon.svg", import.meta.url).pathname, alt: "", width: 28, height: 28 }),
        h("span", {}, "rflow"),
      ]),
      select(
        "brand",
        t("head.brand"),
        state.brands.map((one) => [one, one]),
        state.brand,
        (brand) => go(`${state.page}?${new URLSearchParams({ brand })}`),
      ),
      select("promotion", t("head.promotion"), promotions(), state.promotionId, (id) => {
        state.promotionId = id;
        go(href(state.page), { replace: true });
      }),
      h("span", { class: "space" }),
      alertChip(),
      freshnessChip(),
      toggles(),
      h("a", { class: "toggle", href: href("/wall"), "data-tip": t("head.wall"), "aria-label": t("head.wall") }, [screenIcon()]),
      who(),
    ]),
    h(
      "nav",
      { class: "tabs", "aria-label": t("head.pages") },
      PAGES.filter((one) => may(one.role)).map((one) =>
        h("a", { key: one.name, href: href(one.path), "aria-current": one === page ? "page" : undefined }, t(`page.${one.name}`)),
      ),
    ),
  ]);
}

/** How many alerts are open, the most pressing one's shape and colour; leads to them. */
function alertChip() {
  const first = openAlerts()?.items[0];
  return (
    first &&
    h("a", { class: "toggle open-alerts", href: href("/alerts"), "data-open-alerts": howMany() }, [
      severity(first.alert.severity, { small: true }),
      t("alert.open", { open: howMany() }),
    ])
  );
}

function screenIcon() {
  return h(
    "svg",
    { viewBox: "0 0 24 24", width: 20, height: 20, fill: "none", stroke: "currentColor", "stroke-width": 2, "aria-hidden": "true" },
    [h("rect", { x: 3, y: 4, width: 18, height: 12, rx: 1.5 }), h("path", { d: "M8 20h8M12 16v4" })],
  );
}

function promotions() {
  return state.promotions.length ? state.promotions.map((one) => [one.promotion_id, one.name]) : [["", t("head.no_promotion")]];
}

function select(name, label, options, chosen, choose) {
  return h("label", { class: `picker ${name}` }, [
    h("span", { class: "unseen" }, label),
    h(
      "select",
      { name, value: chosen, onChange: (event) => choose(event.target.value) },
      options.map(([value, text]) => h("option", { key: value, value }, text)),
    ),
  ]);
}

function who() {
  if (!state.session) return null;
  if (state.session.by === "local") return h("span", { class: "who" }, t("head.local"));
  return h("span", { class: "who" }, [
    h("span", { "data-tip": t(`role.${state.session.role}`), tabindex: 0 }, state.session.name),
    h("button", { type: "button", class: "link", onClick: signOut }, t("head.sign_out")),
  ]);
}

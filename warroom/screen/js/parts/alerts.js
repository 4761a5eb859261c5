// Alerts that are open: what dropped, from what to what, what is at stake, since when, who has taken it on.

import { h } from "../../vue.js";
import { named, t } from "../i18n.js";
import { desk } from "../desk.js";
import { dayTime, time } from "../format.js";
import { channelName, href, zone } from "../store.js";
import { count, empty, figure, money, rate, trouble } from "./basics.js";

/** Severities are told apart by shape, word and colour. */
const SHAPES = { critical: "◆", warning: "▲", info: "●" };
const FLOW_RULES = ["flow_drop", "reverse_flow_rise"];

/** {items: [{alert, silence}], more, kept} of the brand, or null before anything is known. */
export const openAlerts = () => desk()?.alerts.data ?? null;

/** How many are open. */
export const howMany = () => (openAlerts() ? openAlerts().items.length + openAlerts().more : 0);

export const title = (alert) => named(alert.title, alert.rule);

/** What it says, without the link that leads here. */
export const told = (alert) => named(alert.summary).replace(/\s*https?:\/\/\S+$/, "");

const word = (key, otherwise) => (t(key) === key ? otherwise : t(key));
export const ruleName = (rule) => word(`rule.${rule}`, rule);

export function severity(name, { small = false } = {}) {
  return h("span", { class: ["severity", name, { small }] }, [
    h("span", { "aria-hidden": "true" }, `${SHAPES[name] ?? "●"} `),
    h("span", { class: small ? "unseen" : undefined }, word(`severity.${name}`, name)),
  ]);
}

/** Who has taken it on, or that nobody has; and whether the channels are silent about it. */
export function standing({ alert, silence }) {
  const taken = alert.acknowledged;
  const note = taken?.note ? t("alert.said", { note: taken.note }) : "";
  return [
    taken
      ? figure(t("alert.taken", { by: taken.by }), t("tip.taken", { at: dayTime(Date.parse(taken.at), zone.value), note }), { kind: "taken" })
      : alert.state === "resolved"
        ? null
        : h("span", { class: "untaken" }, t("alert.untaken")),
    silence && figure(t("alert.silent"), t("tip.silent", { until: dayTime(silence.until, zone.value), by: silence.by, because: silence.because })),
  ];
}

/** `4.4% → 2.1%`, users and GMV an hour: figures that explain themselves. */
export function stakes(alert) {
  const isRate = FLOW_RULES.includes(alert.rule) && alert.observed !== null && alert.expected !== null;
  return [
    isRate && figure(`${rate(alert.expected)} → ${rate(alert.observed)}`, t("tip.from_to"), { kind: "from-to" }),
    alert.users_at_stake !== null && figure(t("alert.users", { users: count(alert.users_at_stake) }), t("tip.users_at_stake")),
    alert.gmv_at_stake !== null && figure(t("alert.gmv", { gmv: money(alert.gmv_at_stake) }), t("tip.gmv_at_stake")),
  ];
}

const since = (alert, short) => {
  const at = Date.parse(alert.since);
  return t("alert.since", { at: short ? time(at, zone.value, false) : dayTime(at, zone.value) });
};

/** Open alerts as a list, the most pressing first; `card(one)` adds to each. `short`: of today, on the wall. */
export function alertList(items, { card = () => null, chosen = "", short = false } = {}) {
  return h(
    "ul",
    { class: "alerts" },
    items.map((one) =>
      h(
        "li",
        {
          key: one.alert.alert_id,
          class: [one.alert.severity, { taken: one.alert.acknowledged, chosen: one.alert.alert_id === chosen }],
          "data-alert": one.alert.alert_id,
        },
        [
          h("div", { class: "alert-head" }, [
            severity(one.alert.severity, { small: short }),
            h("a", { class: "alert-title", href: href("/alerts", { alert: one.alert.alert_id }) }, title(one.alert)),
          ]),
          h("div", { class: "alert-figures" }, [...stakes(one.alert), h("span", { class: "alert-since" }, since(one.alert, short)), ...standing(one)]),
          card(one),
        ],
      ),
    ),
  );
}

/** The body of a panel of open alerts; `most` is how many are shown. */
export function openPanel(most, more = {}) {
  const found = openAlerts();
  if (!found) return desk()?.alerts.problem ? trouble(desk().alerts.problem) : empty(t("empty.waiting"));
  if (!found.items.length && !found.kept) return empty(t("alert.not_kept"));
  if (!found.items.length) return h("p", { class: "calm" }, [h("span", { "aria-hidden": "true" }, "✓ "), t("empty.alerts")]);
  return alertList(found.items.slice(0, most), more);
}

/** How many there are, and if ClickHouse does not answer that those it keeps are not among them. */
export function openAside() {
  const found = openAlerts();
  if (!found) return null;
  return [found.kept ? null : h("span", { class: "trouble-inline" }, t("alert.not_kept")), howMany() ? t("alert.open", { open: howMany() }) : null];
}

/** The most pressing alert that nobody has taken on, in one line; null where there is none that warns. */
export function pressing() {
  const first = openAlerts()?.items.find(({ alert, silence }) => !alert.acknowledged && !silence && alert.severity !== "info")?.alert;
  if (!first) return null;
  const worth = first.gmv_at_stake === null ? "" : t("alert.gmv", { gmv: money(first.gmv_at_stake) });
  return h("p", { class: ["pressing", first.severity], "data-pressing": first.alert_id }, [
    severity(first.severity),
    h("strong", {}, title(first)),
    worth && h("span", {}, worth),
    h("span", {}, since(first, true)),
  ]);
}

/** What an alert is about: its flow and channel. */
export function about(alert) {
  const flow = alert.flow && `${alert.flow.from}→${alert.flow.to}`;
  return [flow, alert.scope.channel && channelName(alert.scope.channel)].filter(Boolean).join(" · ") || t("target.brand");
}

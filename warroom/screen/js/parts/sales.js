// Where sales come from: new users against those already there, channels and the like ranked, what was spent.

import { h } from "../../vue.js";
import { t } from "../i18n.js";
import { live } from "../live.js";
import { dayTime } from "../format.js";
import { channelFacts, channelName, href, zone } from "../store.js";
import { count, empty, figure, meter, money, rate, ratio, table } from "./basics.js";

const today = () => t("window.today", { from: dayTime(live.snapshot?.today.begins, zone.value) });

/** New users against those already there, and each group's share of GMV. */
export function crowd() {
  const found = live.snapshot?.today;
  if (!found) return empty(t("empty.waiting"));
  const known = found.gmv - found.gmv_new;
  const group = (kind, title, gmv, share, tip) =>
    h("div", { class: ["crowd", kind] }, [
      h("span", { class: "crowd-name" }, title),
      figure(money(gmv), `${tip} ${today()}`, { kind: "crowd-gmv", "data-value": gmv }),
      figure(rate(share), `${t("tip.gmv_share")} ${today()}`, { kind: "crowd-share" }),
    ]);
  return h("div", { class: "crowds" }, [
    h("div", { class: "crowd-bar" }, [meter(found.gmv_new, found.gmv || 1, null, "two")]),
    group("new", t("crowd.new"), found.gmv_new, found.gmv_new_share, t("tip.gmv_new")),
    group("known", t("crowd.known"), known, found.gmv ? known / found.gmv : null, t("tip.gmv_known")),
    h("p", { class: "crowd-note" }, [
      t("crowd.users"),
      " ",
      figure(count(found.new_users), `${t("tip.new_users")} ${today()}`, { "data-value": found.new_users }),
    ]),
  ]);
}

/** Spend and return on spend of the day. */
export function spend(most = 4) {
  const found = live.snapshot?.today;
  if (!found) return empty(t("empty.waiting"));
  if (!found.spend) return empty(t("empty.spend"), t("empty.spend_hint"));
  const channels = found.channels.filter((one) => one.spend > 0);
  return [
    h("div", { class: "pair" }, [
      h("div", {}, [
        h("span", { class: "pair-name" }, t("figure.spend")),
        figure(money(found.spend), `${t("tip.spend")} ${today()}`, { kind: "pair-value", "data-value": found.spend }),
      ]),
      h("div", {}, [
        h("span", { class: "pair-name" }, t("figure.roi")),
        figure(ratio(found.roi), `${t("tip.roi")} ${today()}`, { kind: "pair-value" }),
      ]),
    ]),
    most > 0 &&
      table(
        t("panel.spend"),
        [
          { title: t("column.channel"), kind: "name", cell: (one) => channelName(one.channel) || t("label.none") },
          { title: t("figure.spend"), kind: "number", cell: (one) => figure(money(one.spend), `${t("tip.spend")} ${today()}`) },
          { title: t("figure.roi"), kind: "number", cell: (one) => figure(ratio(one.roi), `${t("tip.roi")} ${today()}`) },
        ],
        channels.slice(0, most),
        { key: (one) => one.channel },
      ),
  ];
}

export const DIMENSIONS = ["channels", "campaigns", "stores", "guides"];
const DRILLABLE = { channels: "channel", campaigns: "campaign", stores: "store", guides: "guide" };

/** The last hour's best of a dimension by GMV. With `drill` names lead to what is behind them. */
export function ranking(dimension, most, { drill = false } = {}) {
  const found = live.snapshot?.rankings;
  if (!found) return empty(t("empty.waiting"));
  const rows = found[dimension].filter((row) => row.label !== "" || row.gmv > 0);
  if (!rows.length) return empty(t("empty.ranking", { dimension: t(`dimension.${dimension}`) }), t("empty.ranking_hint"));
  const window = t("window.last", { minutes: found.minutes });
  const top = Math.max(1, ...rows.map((row) => row.gmv));
  return table(
    t(`dimension.${dimension}`),
    [
      {
        title: t(`dimension.${dimension}`),
        kind: "name",
        cell: (row) => [name(dimension, row.label, drill), dimension === "channels" && badge(row.label)],
      },
      {
        title: t("column.gmv"),
        kind: "number wide",
        cell: (row) => [
          h("span", { class: "bar-behind" }, [meter(row.gmv, top)]),
          figure(money(row.gmv), `${t("tip.gmv")} ${window}`, { "data-value": row.gmv }),
        ],
      },
      { title: t("column.orders"), kind: "number", cell: (row) => figure(count(row.orders), `${t("tip.orders")} ${window}`) },
      { title: t("column.forward"), kind: "number", cell: (row) => figure(count(row.users_forward), `${t("tip.forward")} ${window}`) },
    ],
    rows.slice(0, most),
    { key: (row) => row.label },
  );
}

function name(dimension, label, drill) {
  const text = dimension === "channels" ? channelName(label) || t("label.none") : label || t("label.none");
  return drill && label ? h("a", { href: href("/channels", { by: DRILLABLE[dimension], of: label }) }, text) : h("span", {}, text);
}

/** Public or private domain, online or offline: in words, not in colour alone. */
function badge(channel) {
  const facts = channelFacts(channel);
  return (
    facts &&
    h(
      "span",
      { class: ["badge", facts.domain], "data-tip": t(`tip.${facts.domain}`), tabindex: 0 },
      `${t(`domain.${facts.domain}`)}·${t(`place.${facts.place}`)}`,
    )
  );
}

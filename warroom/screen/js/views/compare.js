// Any period against any other, over all STAR figures.

import { computed, defineComponent, h, reactive, watch } from "../../vue.js";
import { segment, url } from "../api.js";
import { dayTime, fullTime, withOffset } from "../format.js";
import { t } from "../i18n.js";
import { live } from "../live.js";
import { usePoll } from "../poll.js";
import { channelName, layerName, promotion, state, zone } from "../store.js";
import { change, count, empty, figure, money, panel, rate, ratio, table, trouble } from "../parts/basics.js";
import { field, pick } from "../parts/forms.js";
import { saidSpan, windowSoFar } from "../windows.js";

const DAY = 86_400_000;
const SHOW = {
  users: count,
  users_before: count,
  new_users: count,
  known_users: count,
  transitions: count,
  orders: count,
  buyers: count,
  stood: count,
  gmv: money,
  refunds: money,
  order_value: money,
  spend: money,
  gmv_new: money,
  roi: ratio,
};
const SHOWN = {
  scaling: ["users", "growth", "new_users", "known_users"],
  triangulating: ["share", "crowd_share", "growth"],
  activating: ["users", "transitions", "rate"],
  returning: ["gmv", "gmv_share", "orders", "buyers", "order_value", "conversion_rate", "repurchase_week", "spend", "roi", "gmv_new_share"],
};

export const Compare = defineComponent(() => {
  const form = reactive({ period: "", against: "", from: "", to: "", against_from: "", against_to: "", by: "all" });
  watch(
    () => state.promotions,
    () => Object.assign(form, initial()),
    { immediate: true },
  );
  const period = computed(() => chosen(form.period, form.from, form.to));
  const against = computed(() => chosen(form.against, form.against_from, form.against_to, period.value));
  const found = usePoll(
    () =>
      period.value && against.value
        ? url(`/brands/${segment(state.brand)}/compare`, {
            ...period.value,
            against_from: against.value.from,
            against_to: against.value.to,
            by: form.by,
          })
        : "",
    0,
  );

  return () =>
    h("div", { class: "stack" }, [
      h("div", { class: "columns" }, [
        panel(t("compare.period"), chooser(form, "period", "from", "to")),
        panel(t("compare.against"), chooser(form, "against", "against_from", "against_to")),
      ]),
      h("div", { class: "controls" }, [
        pick(
          t("compare.by"),
          form,
          "by",
          ["all", "channel", "campaign", "store", "guide"].map((one) => [one, t(`by.${one}`)]),
        ),
        found.data &&
          h("p", { class: "sentence" }, [
            said(found.data),
            !found.data.same_length && h("span", { class: "detail" }, ` ${t("compare.lengths")}`),
          ]),
      ]),
      found.problem && trouble(found.problem),
      !found.data
        ? panel(
            t("page.compare"),
            empty(found.problem ? t("compare.none") : t(period.value && against.value ? "empty.waiting" : "compare.choose")),
          )
        : Object.keys(SHOWN).map((name) => star(name, found.data, form.by)),
    ]);
});

/** The promotion looked at so far, against the one before it. */
function initial() {
  const [one, other] = [
    promotion.value,
    state.promotions.filter((before) => promotion.value && Date.parse(before.window.to) <= Date.parse(promotion.value.window.from))[0],
  ];
  const now = live.snapshot?.as_of.watermark ?? Date.now();
  const typed = (ms) => fullTime(ms, zone.value).replace(" ", "T");
  return {
    period: one?.promotion_id ?? "",
    against: other?.promotion_id ?? "",
    from: typed(now - DAY),
    to: typed(now),
    against_from: typed(now - 2 * DAY),
    against_to: typed(now - DAY),
  };
}

/** {from, to} of a promotion, cut to as much of it as `like` has come to, or of what was typed. */
function chosen(id, from, to, like = null) {
  const one = state.promotions.find((each) => each.promotion_id === id);
  if (!one) {
    const [begin, end] = [withOffset(from, zone.value), withOffset(to, zone.value)];
    return begin && end && begin < end ? { from: begin, to: end } : null;
  }
  const found = windowSoFar(one);
  if (!found || !like) return found;
  const most = Date.parse(found.from) + Date.parse(like.to) - Date.parse(like.from);
  return { ...found, to: new Date(Math.min(Date.parse(found.to), most)).toISOString() };
}

function chooser(form, name, from, to) {
  const options = [["", t("compare.dates")], ...state.promotions.map((one) => [one.promotion_id, one.name])];
  return h("div", { class: "form-row" }, [
    pick(t("head.promotion"), form, name, options),
    !form[name] && field(t("compare.from"), form, from, { type: "datetime-local" }),
    !form[name] && field(t("compare.to"), form, to, { type: "datetime-local" }),
  ]);
}

function said(found) {
  const span = (one) => `${fullTime(one.begins, zone.value)} – ${fullTime(one.ends, zone.value)}`;
  return t("compare.said", { period: span(found.period), against: span(found.against) });
}

function star(name, found, by) {
  const rows = found[name].filter((row) => SHOWN[name].some((one) => row.figures[one]?.value || row.figures[one]?.against));
  const of = (row) =>
    [
      by === "all" ? "" : (by === "channel" ? channelName(row.of.split) : row.of.split) || t("label.none"),
      row.of.from_layer
        ? `${row.of.from_layer} → ${row.of.to_layer}`
        : row.of.layer
          ? `${row.of.layer} ${layerName(row.of.layer)}`
          : t("compare.all"),
    ]
      .filter(Boolean)
      .join(" · ");
  const spans = [found.period, found.against].map((one) => saidSpan(one.begins, one.ends));
  const column = (one) => ({
    title: t(`star.${one}`),
    kind: "number",
    explained: t(`tip.star_${one}`),
    cell: (row) => pair(row.figures[one], SHOW[one] ?? rate, t(`tip.star_${one}`), spans),
  });
  return panel(
    t(`star.${name}`),
    rows.length
      ? table(t(`star.${name}`), [{ title: t("compare.of"), kind: "name", cell: of }, ...SHOWN[name].map(column)], rows, {
          attributes: (row) => ({ "data-of": of(row) }),
        })
      : empty(t("compare.none")),
    { id: name, explained: t(`tip.${name}`) },
  );
}

function pair(one, show, explained, [now, before]) {
  if (!one || (one.value === null && one.against === null)) return "–";
  return h("span", { class: "three" }, [
    figure(show(one.value), `${explained} ${now}`, { kind: "now", "data-value": one.value }),
    h("span", { class: "plans" }, [
      figure(show(one.against), `${explained} ${before}`),
      " ",
      one.relative !== null &&
        change(Math.abs(one.relative) < 0.0005 ? 0 : one.relative, rate(Math.abs(one.relative)), `${t("tip.relative")} ${now} / ${before}`),
    ]),
  ]);
}

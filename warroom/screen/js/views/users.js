// One user: the layer, the evidence behind it, and how they came there.

import { defineComponent, h, ref } from "../../vue.js";
import { segment, url } from "../api.js";
import { dayTime, fullTime } from "../format.js";
import { t } from "../i18n.js";
import { usePoll } from "../poll.js";
import { channelName, go, href, layerName, parameter, state, zone } from "../store.js";
import { count, empty, figure, money, panel, table, trouble } from "../parts/basics.js";

export const Users = defineComponent(() => {
  const [typed, id] = [ref(parameter("user")), ref(parameter("user"))];
  const of = (more = "") =>
    id.value ? url(`/brands/${segment(state.brand)}/users/${segment(id.value)}${more}`, more ? { limit: 100 } : {}) : "";
  const [standing, history] = [usePoll(() => of(), 5), usePoll(() => of("/history"), 5)];

  function look(event) {
    event.preventDefault();
    id.value = typed.value.trim();
    go(href("/users", { user: id.value }), { replace: true });
  }

  return () =>
    h("div", { class: "stack" }, [
      h("form", { class: "form-row", role: "search", onSubmit: look }, [
        h("label", { class: "field" }, [
          h("span", {}, t("user.id")),
          h("input", {
            name: "user",
            value: typed.value,
            maxlength: 128,
            onInput: (event) => {
              typed.value = event.target.value;
            },
          }),
        ]),
        h("button", { class: "primary", type: "submit" }, t("user.look")),
      ]),
      standing.problem &&
        (standing.problem.status === 404 ? panel(t("page.users"), empty(t("user.none", { user: id.value }))) : trouble(standing.problem)),
      standing.data ? card(standing.data, history.data) : !standing.problem && panel(t("page.users"), empty(t("user.hint"))),
    ]);
});

function card(found, history) {
  const one = found.evidence;
  const at = (text) => fullTime(Date.parse(text), zone.value);
  const place = (where) =>
    [channelName(where.channel), where.campaign_id, where.store_id, where.guide_id].filter(Boolean).join(" · ") || t("label.none");
  return [
    h("div", { class: "columns" }, [
      panel(
        found.user_id,
        h("dl", { class: "facts" }, [
          h("dt", {}, t("user.layer")),
          h("dd", {}, [h("b", {}, one.layer), ` ${layerName(one.layer)}`]),
          h("dt", {}, t("user.since")),
          h("dd", {}, one.since ? at(one.since) : "–"),
          h("dt", {}, t("user.first_seen")),
          h("dd", {}, at(one.first_seen)),
          h("dt", {}, t("user.first_touch")),
          h("dd", {}, place(one.first_touch)),
          h("dt", {}, t("user.last_touch")),
          h("dd", {}, `${place(one.last_touch)}${one.last_touch.at ? ` · ${at(one.last_touch.at)}` : ""}`),
          h("dt", {}, t("user.clock")),
          h("dd", {}, at(one.clock)),
        ]),
      ),
      panel(t("user.evidence"), [
        ...one.touches.map((touch) => h("p", {}, `${touch.evidence}: ${count(touch.count)} · ${at(touch.first)} – ${at(touch.last)}`)),
        ...one.relations.map((relation) =>
          h("p", {}, `${relation.kind} ${relation.id}: ${t(relation.active ? "user.active" : "user.ended")} · ${at(relation.since)}`),
        ),
        one.orders.length > 0 &&
          table(
            t("figure.orders"),
            [
              { title: t("user.order"), kind: "name", cell: (order) => order.order_id },
              { title: t("user.at"), kind: "number", cell: (order) => at(order.at) },
              {
                title: t("user.paid"),
                kind: "number",
                cell: (order) => figure(money(order.paid), t("tip.order_paid", { at: at(order.at) })),
              },
              {
                title: t("user.refunded"),
                kind: "number",
                cell: (order) => figure(money(order.refunded), t("tip.order_refunded", { at: at(order.at) })),
              },
            ],
            one.orders,
          ),
      ]),
    ]),
    panel(
      t("user.history"),
      history?.items.length
        ? table(
            t("user.history"),
            [
              { title: t("user.at"), kind: "name", cell: (move) => dayTime(move.effective_at, zone.value) },
              {
                title: t("column.flow"),
                kind: "name",
                cell: (move) => `${move.from_layer} → ${move.to_layer} ${t(`direction.${move.direction}`)}`,
              },
              { title: t("user.cause"), kind: "name", cell: (move) => `${move.kind}${move.cause_type ? ` · ${move.cause_type}` : ""}` },
              { title: t("column.channel"), kind: "name", cell: (move) => channelName(move.channel) || t("label.none") },
            ],
            history.items,
          )
        : empty(t("user.no_history")),
    ),
  ];
}

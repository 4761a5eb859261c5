// Alerts: those that are open, to be taken on; those that were; one with its history; what keeps them from the channels.

import { computed, defineComponent, h, reactive, shallowRef } from "../../vue.js";
import { request, segment, url } from "../api.js";
import { dayTime, fullTime } from "../format.js";
import { t } from "../i18n.js";
import { desk } from "../desk.js";
import { usePoll } from "../poll.js";
import { channelName, href, may, promotion, state, zone } from "../store.js";
import { about, openAside, openPanel, ruleName, severity, standing, told, title } from "../parts/alerts.js";
import { empty, panel, table, trouble } from "../parts/basics.js";
import { button, complaints, field, pick } from "../parts/forms.js";

const RULES = ["flow_drop", "reverse_flow_rise", "pace_behind", "spend_without_return", "count_drop", "pipeline_down"];
const MINUTES = [30, 60, 120, 360, 1440];

export const Alerts = defineComponent(() => {
  const brand = `/brands/${segment(state.brand)}`;
  const chosen = computed(() => new URLSearchParams(state.query).get("alert") ?? "");
  const past = usePoll(() => url(`${brand}/alerts`, { promotion: promotion.value?.promotion_id, limit: 100 }), 10);
  const one = usePoll(() => (chosen.value ? `${brand}/alerts/${segment(chosen.value)}` : ""), 10);
  const silences = usePoll(() => `${brand}/silences`, 10);
  const notes = reactive({});
  const form = reactive({ rule: "", flow: "", channel: "", minutes: "60", because: "" });
  const problem = shallowRef(null);

  async function change(method, path, body) {
    problem.value = null;
    try {
      await request(method, brand + path, { body });
    } catch (error) {
      problem.value = error;
    }
    [desk().alerts, past, one, silences].forEach((found) => found.refresh());
    return problem.value === null;
  }

  const take = async (id) => {
    if (await change("POST", `/alerts/${segment(id)}/acknowledge`, { note: notes[id] ?? "" })) delete notes[id];
  };

  async function silence(event) {
    event.preventDefault();
    const { rule, flow, channel, because } = form;
    if (await change("POST", "/silences", { rule, flow, channel, because, minutes: Number(form.minutes) })) form.because = "";
  }

  const card = ({ alert }) => [
    h("p", { class: "alert-told" }, told(alert)),
    may("operator") &&
      !alert.acknowledged &&
      h(
        "form",
        {
          class: "form-row",
          onSubmit: (event) => {
            event.preventDefault();
            take(alert.alert_id);
          },
        },
        [
          field(t("alert.note"), notes, alert.alert_id, { name: "note", maxlength: 500 }),
          h("button", { class: "primary", type: "submit" }, t("alert.take")),
        ],
      ),
  ];

  return () =>
    h("div", { class: "stack" }, [
      complaints(problem.value),
      panel(t("panel.alerts"), openPanel(50, { card, chosen: chosen.value }), { id: "alerts", aside: openAside(), explained: t("tip.alerts") }),
      chosen.value && history(one, chosen.value),
      panel(t("panel.past_alerts"), earlier(past), {
        id: "past-alerts",
        aside: promotion.value?.name,
        explained: t("tip.past_alerts"),
      }),
      panel(t("panel.silences"), [may("operator") && silenceForm(form, silence), listed(silences, change)], {
        id: "silences",
        explained: t("tip.silences"),
      }),
    ]);
});

function history(found, id) {
  const body = found.problem
    ? found.problem.status === 404
      ? empty(t("alert.none", { alert: id }))
      : trouble(found.problem)
    : found.data
      ? [h("p", { class: "alert-told" }, told(found.data.now.alert)), states(found.data.states)]
      : empty(t("empty.waiting"));
  return panel(found.data ? title(found.data.now.alert) : t("panel.history"), body, { id: "alert-history", explained: t("tip.history") });
}

function states(rows) {
  return table(t("panel.history"), [
    { title: t("user.at"), kind: "name", cell: (row) => fullTime(Date.parse(row.at), zone.value) },
    { title: t("alert.state"), kind: "name", cell: (row) => t(`alert_state.${row.state}`) },
    { title: t("alert.severity"), kind: "name", cell: (row) => severity(row.severity) },
    {
      title: t("alert.what"),
      kind: "name long",
      cell: (row) => (row.state === "acknowledged" ? [row.acknowledged.by, row.acknowledged.note].filter(Boolean).join(": ") : told(row)),
    },
  ], rows, { key: (row) => row.version });
}

function earlier(past) {
  if (past.problem) return trouble(past.problem);
  if (!past.data?.items.length) return empty(past.data ? t("empty.past_alerts") : t("empty.waiting"));
  return table(
    t("panel.past_alerts"),
    [
      { title: t("alert.began"), kind: "name", cell: ({ alert }) => dayTime(Date.parse(alert.since), zone.value) },
      { title: t("alert.severity"), kind: "name", cell: ({ alert }) => severity(alert.severity) },
      {
        title: t("alert.what"),
        kind: "name long",
        cell: ({ alert }) => h("a", { href: href("/alerts", { alert: alert.alert_id }) }, title(alert)),
      },
      { title: t("alert.about"), kind: "name", cell: ({ alert }) => about(alert) },
      {
        title: t("alert.state"),
        kind: "name",
        cell: ({ alert }) =>
          alert.state === "resolved" ? t("alert.over", { at: dayTime(Date.parse(alert.at), zone.value) }) : t(`alert_state.${alert.state}`),
      },
      { title: t("alert.by"), kind: "name", cell: (row) => standing(row) },
    ],
    past.data.items,
    { key: ({ alert }) => alert.alert_id },
  );
}

function silenceForm(form, act) {
  const any = ["", t("silence.any")];
  const layers = state.facts?.layers.map((layer) => layer.id) ?? [];
  const flows = layers.flatMap((from) => layers.filter((to) => to !== from).map((to) => [`${from}>${to}`, `${from}→${to}`]));
  return h("form", { class: "form-row", "data-form": "silence", onSubmit: act }, [
    pick(t("silence.rule"), form, "rule", [any, ...RULES.map((rule) => [rule, ruleName(rule)])]),
    pick(t("silence.flow"), form, "flow", [any, ...flows]),
    pick(t("silence.channel"), form, "channel", [any, ...(state.facts?.channels ?? []).map(({ id }) => [id, channelName(id)])]),
    pick(
      t("silence.minutes"),
      form,
      "minutes",
      MINUTES.map((minutes) => [String(minutes), t("silence.for", { minutes })]),
    ),
    field(t("form.because"), form, "because", { required: true, maxlength: 1000 }),
    h("button", { class: "primary", type: "submit", disabled: !form.because.trim() }, t("silence.make")),
  ]);
}

function listed(found, change) {
  if (found.problem) return trouble(found.problem);
  if (!found.data?.items.length) return empty(found.data ? t("empty.silences") : t("empty.waiting"));
  const runs = (one) => !one.ended_by && one.until > Date.now();
  const what = (one) => [one.rule && ruleName(one.rule), one.flow.replace(">", "→"), one.channel && channelName(one.channel)].filter(Boolean);
  return table(
    t("panel.silences"),
    [
      { title: t("silence.what"), kind: "name", cell: (one) => what(one).join(" · ") || t("silence.any") },
      { title: t("form.because"), kind: "name long", cell: (one) => one.because },
      { title: t("alert.by"), kind: "name", cell: (one) => one.by },
      { title: t("silence.until"), kind: "name", cell: (one) => fullTime(one.until, zone.value) },
      {
        title: t("alert.state"),
        kind: "name",
        cell: (one) =>
          one.ended_by
            ? t("silence.ended", { by: one.ended_by })
            : runs(one)
              ? may("operator")
                ? button(t("silence.end"), () => change("DELETE", `/silences/${segment(one.silence_id)}`), { kind: "link" })
                : t("silence.runs")
              : t("silence.over"),
      },
    ],
    found.data.items,
    { key: (one) => one.silence_id },
  );
}

// The annotated timeline: target changes and notes; notes are written here.

import { defineComponent, h, reactive, shallowRef } from "../../vue.js";
import { request, segment } from "../api.js";
import { fullTime, withOffset } from "../format.js";
import { t } from "../i18n.js";
import { desk } from "../desk.js";
import { live } from "../live.js";
import { may, state, zone } from "../store.js";
import { panel, trouble } from "../parts/basics.js";
import { button, complaints, field } from "../parts/forms.js";
import { marks, timeline } from "../parts/timeline.js";

export const TimelinePage = defineComponent(() => {
  const now = live.snapshot?.as_of.watermark ?? Date.now();
  const form = reactive({ text: "", at: fullTime(now, zone.value).replace(" ", "T") });
  const problem = shallowRef(null);

  async function change(method, path, body) {
    problem.value = null;
    try {
      await request(method, `/brands/${segment(state.brand)}${path}`, { body });
      form.text = "";
    } catch (error) {
      problem.value = error;
    }
    desk().timeline.refresh();
  }

  const remove = (id) => change("DELETE", `/notes/${segment(id)}`);
  return () =>
    h("div", { class: "stack" }, [
      may("operator") &&
        panel(
          t("note.new"),
          h(
            "form",
            {
              class: "form-row",
              onSubmit: (event) => {
                event.preventDefault();
                change("POST", "/notes", { text: form.text, at: withOffset(form.at, zone.value) });
              },
            },
            [
              field(t("note.text"), form, "text", { required: true, maxlength: 1000 }),
              field(t("note.at", { zone: zone.value }), form, "at", { type: "datetime-local", required: true }),
              h("button", { class: "primary", type: "submit", disabled: !form.text.trim() }, t("note.write")),
            ],
          ),
        ),
      complaints(problem.value),
      desk().timeline.problem && trouble(desk().timeline.problem),
      panel(
        t("panel.timeline"),
        timeline(
          marks(),
          200,
          may("operator") ? (mark) => mark.note_id && button(t("note.remove"), () => remove(mark.note_id), { kind: "link" }) : null,
        ),
        { id: "timeline" },
      ),
    ]);
});

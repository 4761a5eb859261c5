// The annotated timeline: target changes and notes; notes are written here.

import { defineComponent, h, reactive, shallowRef, watch } from "../../vue.js";
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
  const form = reactive({ text: "", at: "" });
  const minute = (at) => fullTime(at, zone.value).replace(" ", "T");
  // The events' own time, which comes with the first snapshot, unless somebody has said another meanwhile.
  watch(
    () => live.snapshot?.as_of.watermark,
    (at) => at && !form.at && (form.at = minute(at)),
    { immediate: true },
  );
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

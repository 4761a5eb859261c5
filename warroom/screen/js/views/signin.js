// The sign-in page.

import { defineComponent, h, nextTick, onMounted, ref, shallowRef } from "../../vue.js";
import { get, request, url } from "../api.js";
import { t } from "../i18n.js";
import { toggles } from "../parts/toggles.js";
import { parameter } from "../store.js";

export const SignIn = defineComponent(() => {
  const [user, password, said, busy, first] = [ref(""), ref(""), ref(""), ref(false), ref(null)];
  const ways = shallowRef({ password: true, oidc: null, label: null });
  onMounted(async () => {
    ways.value = await get("/session/ways").catch(() => ways.value);
    nextTick(() => first.value?.focus());
  });

  async function enter(event) {
    event.preventDefault();
    busy.value = true;
    said.value = "";
    try {
      await request("POST", "/session", { body: { user: user.value, password: password.value } });
      location.replace(within(parameter("next")));
    } catch (problem) {
      busy.value = false;
      said.value = sentenceOf(problem);
    }
  }

  const field = (name, model, more) =>
    h("label", { class: "field" }, [
      h("span", {}, t(`signin.${name}`)),
      h("input", {
        name,
        required: true,
        value: model.value,
        onInput: (event) => {
          model.value = event.target.value;
        },
        ...more,
      }),
    ]);

  return () =>
    h("main", { class: "signin" }, [
      h("form", { class: "card", onSubmit: enter }, [
        h("h1", {}, [h("img", { src: new URL("../../icon.svg", import.meta.url).pathname, alt: "", width: 40, height: 40 }), "rflow"]),
        h("p", { class: "lead" }, t("signin.lead")),
        ways.value.password && field("user", user, { autocomplete: "username", ref: first, maxlength: 64 }),
        ways.value.password && field("password", password, { type: "password", autocomplete: "current-password", maxlength: 1024 }),
        said.value && h("p", { class: "trouble", role: "alert" }, said.value),
        ways.value.password &&
          h("button", { class: "primary", type: "submit", disabled: busy.value }, t(busy.value ? "signin.busy" : "signin.enter")),
        ways.value.oidc &&
          h(
            "a",
            { class: "provider", href: url(ways.value.oidc, { back: within(parameter("next")) }) },
            ways.value.label ?? t("signin.oidc"),
          ),
      ]),
      toggles(),
    ]);
});

/** Where to go afterwards: a place of this site, whatever the address says. */
function within(next) {
  try {
    const at = new URL(next || "/", location.origin);
    return at.origin === location.origin && !at.pathname.startsWith("/api/") ? at.pathname + at.search : "/";
  } catch {
    return "/";
  }
}

function sentenceOf(problem) {
  if (problem.status === 401) return t("signin.wrong");
  if (problem.status === 429) return t("signin.wait", { seconds: problem.headers.get("retry-after") ?? "?" });
  return problem.status === 0 ? t("problem.unreachable") : problem.message;
}

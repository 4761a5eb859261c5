// Who signed in, changed or took out what.

import { defineComponent, h } from "../../vue.js";
import { fullTime } from "../format.js";
import { t } from "../i18n.js";
import { usePoll } from "../poll.js";
import { zone } from "../store.js";
import { empty, panel, table, trouble } from "../parts/basics.js";

export const Audit = defineComponent(() => {
  const found = usePoll(() => "/audit?limit=200", 5);
  return () =>
    panel(
      t("page.audit"),
      found.problem
        ? trouble(found.problem)
        : !found.data?.length
          ? empty(t("empty.timeline"))
          : table(
              t("page.audit"),
              [
                { title: t("user.at"), kind: "name", cell: (one) => fullTime(Date.parse(one.at), zone.value) },
                { title: t("audit.who"), kind: "name", cell: (one) => `${one.who} (${t(`role.${one.role}`)})` },
                { title: t("audit.action"), kind: "name", cell: (one) => one.action },
                { title: t("audit.target"), kind: "name", cell: (one) => one.target },
                { title: t("audit.outcome"), kind: "name", cell: (one) => t(`outcome.${one.outcome}`) },
                { title: t("audit.detail"), kind: "name long", cell: (one) => one.detail },
                { title: t("audit.address"), kind: "name", cell: (one) => one.address },
              ],
              found.data,
            ),
      { explained: t("tip.audit") },
    );
});

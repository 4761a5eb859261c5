// What of two versions is shown to whoever comes second: as it was, as I want it, as they saved it.

import { h } from "../../vue.js";
import { dayTime } from "../format.js";
import { t } from "../i18n.js";
import { zone } from "../store.js";
import { table } from "./basics.js";

/** Who was quicker, when and why. */
export function conflictNotice(theirs) {
  return h(
    "p",
    { class: "notice" },
    t("conflict.said", {
      by: theirs.changed_by,
      at: dayTime(Date.parse(theirs.changed_at), zone.value),
      version: theirs.version,
      reason: theirs.reason,
    }),
  );
}

/** Rows {what, before, mine, theirs}, texts; null where one of us left it alone. */
export function conflictTable(rows) {
  return table(
    t("conflict.title"),
    [
      { title: t("target.scope"), kind: "name", cell: (row) => row.what },
      { title: t("conflict.before"), kind: "number", cell: (row) => row.before },
      { title: t("conflict.mine"), kind: "number", cell: (row) => (row.mine === null ? "–" : h("strong", {}, row.mine)) },
      { title: t("conflict.theirs"), kind: "number", cell: (row) => (row.theirs === null ? "–" : h("strong", {}, row.theirs)) },
    ],
    rows,
  );
}

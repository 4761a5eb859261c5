// A promotion's target tree as rows that can be edited, and edits in the words of the API (warroom/what_if.py). Pure.

export const FIELDS = ["headcount", "conversion_rate", "order_value"];

/** Every cell of the tree: {path, channel, store_id, owner, layer, headcount, conversion_rate, order_value}. */
export function cellsOf(target) {
  const parts = (target.parts ?? []).flatMap(cellsOf);
  const rows = (target.layers ?? []).map((row) => ({
    ...row,
    channel: target.channel ?? null,
    store_id: target.store_id ?? null,
    owner: target.owner,
    path: [...scope(target), row.layer].join("/"),
  }));
  return [...rows, ...parts];
}

function scope({ channel, store_id: store }) {
  if (store) return [channel || "-", store];
  return channel ? [channel] : [];
}

/** GMV of a cell, minor units: headcount x conversion rate x order value. */
export const gmvOfCell = (cell) => Math.round(cell.headcount * cell.conversion_rate * cell.order_value);

/** The GMV of a target tree. */
export const gmvOf = (target) => cellsOf(target).reduce((all, cell) => all + gmvOfCell(cell), 0);

/** How a value is typed: rates in per cent, money in whole units. */
export function typed(field, value) {
  if (field === "headcount") return String(value);
  return trimmed(field === "conversion_rate" ? value * 100 : value / 100);
}

const trimmed = (number) => String(Number(number.toFixed(6)));

/** What was typed as the record holds it, null where it is no number of 0 or more (a rate: of 100 at most). */
export function parsed(field, text) {
  const number = Number(String(text).replaceAll(",", "").trim());
  if (String(text).trim() === "" || !Number.isFinite(number) || number < 0) return null;
  if (field === "conversion_rate") return number <= 100 ? number / 100 : null;
  return field === "headcount" ? Math.round(number) : Math.round(number * 100);
}

/** Edits for the API out of what was typed: {"path field": text}; unchanged and unreadable ones are left out. */
export function editsOf(cells, drafts) {
  return changesOf(cells, drafts).map(({ path, field, value }) => `${path}/${field}=${value}`);
}

/** What a draft changes: {path, field, before, value}. */
export function changesOf(cells, drafts) {
  return cells.flatMap((cell) =>
    FIELDS.flatMap((field) => {
      const text = drafts[`${cell.path} ${field}`];
      if (text === undefined || text === typed(field, cell[field])) return [];
      const value = parsed(field, text);
      return value === null || value === cell[field] ? [] : [{ path: cell.path, field, before: cell[field], value }];
    }),
  );
}

/** A tree out of rows as they are typed in a form: {channel, store_id, owner, layer, headcount, conversion_rate, order_value}. */
export function treeOf(rows, owner) {
  const groups = new Map();
  for (const row of rows) {
    const key = JSON.stringify([row.channel || null, row.store_id || null]);
    if (!groups.has(key))
      groups.set(key, { owner: row.owner || owner, channel: row.channel || null, store_id: row.store_id || null, layers: [] });
    groups.get(key).layers.push({
      layer: row.layer,
      headcount: parsed("headcount", row.headcount) ?? 0,
      conversion_rate: parsed("conversion_rate", row.conversion_rate) ?? 0,
      order_value: parsed("order_value", row.order_value) ?? 0,
    });
  }
  const parts = [...groups.values()];
  return parts.length === 1 && !parts[0].channel && !parts[0].store_id ? { ...parts[0], owner } : { owner, parts };
}

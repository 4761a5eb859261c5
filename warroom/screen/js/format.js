// Figures as operators read them, in Chinese and English: the same as warroom/wording.py. Money comes in minor units, rates as fractions.

const SIGNS = { CNY: "¥", USD: "$", EUR: "€", GBP: "£" };
/** A unit, its name, its decimals, and how many of it (as shown) are told in the next. */
const UNITS = {
  zh: [
    [1, "", 0, 10_000],
    [1e4, "万", 1, 10_000],
    [1e8, "亿", 2, Infinity],
  ],
  en: [
    [1, "", 0, 10_000],
    [1e3, "K", 1, 1_000],
    [1e6, "M", 2, 1_000],
    [1e9, "B", 2, Infinity],
  ],
};
export const NONE = "–";

const formats = new Map();

function fixed(value, digits) {
  if (!formats.has(digits)) {
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: "halfEven" };
    formats.set(digits, new Intl.NumberFormat("en-US", options));
  }
  return formats.get(digits).format(value);
}

function rounded(value, digits) {
  return Number(fixed(value, digits).replaceAll(",", ""));
}

function scaled(value, language) {
  const [size, name, digits] = UNITS[language].find(([unit, , decimals, most]) => rounded(value / unit, decimals) < most);
  return fixed(value / size, digits) + name;
}

/** `¥8,921`, `¥12.3万`, `¥1.23亿`; in English `¥8,921`, `¥12.3K`, `¥1.23M`; small change `¥41.50`. */
export function money(minor, currency, language) {
  if (minor === null || minor === undefined) return NONE;
  const whole = rounded(minor, 0);
  const amount = Math.abs(whole) / 100;
  const shown = amount < 100 && amount !== Math.trunc(amount) ? fixed(amount, 2) : scaled(amount, language);
  return (whole < 0 ? "-" : "") + (SIGNS[currency] ?? `${currency} `) + shown;
}

/** `9,000`, `12.3万`, `1.23亿`; in English `9,000`, `12.3K`, `1.23M`. */
export function count(number, language) {
  if (number === null || number === undefined) return NONE;
  return (rounded(number, 0) < 0 ? "-" : "") + scaled(Math.abs(number), language);
}

/** `6.1%`, `0.42%`; a dash where nothing divides. */
export function rate(share) {
  if (share === null || share === undefined) return NONE;
  const digits = share === 0 || rounded(Math.abs(share) * 100, 2) >= 1 ? 1 : 2;
  return `${fixed(share * 100, digits)}%`.replaceAll(",", "");
}

/** `62%`. */
export function wholeRate(share) {
  return share === null || share === undefined ? NONE : `${fixed(share * 100, 0)}%`.replaceAll(",", "");
}

/** `3.42`, a ratio such as the return on spend. */
export function ratio(value) {
  return value === null || value === undefined ? NONE : fixed(value, 2);
}

/** `+1,203`, `-12`; nothing is `0`. */
export function signed(number, language) {
  return (number > 0 ? "+" : "") + count(number, language);
}

const clocks = new Map();

function clock(zone, options) {
  const key = `${zone} ${JSON.stringify(options)}`;
  if (!clocks.has(key)) clocks.set(key, new Intl.DateTimeFormat("sv-SE", { timeZone: zone, ...options }));
  return clocks.get(key);
}

/** `20:04:31` in a time zone. */
export function time(ms, zone, seconds = true) {
  if (!ms) return NONE;
  return clock(zone, { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}) }).format(ms);
}

/** `2026-11-10 20:04`, as it is typed into a form. */
export function fullTime(ms, zone) {
  const options = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" };
  return ms ? clock(zone, options).format(ms).replace(",", "") : NONE;
}

/** `11-10 20:04`. */
export function dayTime(ms, zone) {
  return ms ? fullTime(ms, zone).slice(5) : NONE;
}

/** `3s`, `2m 05s`, `1h 20m`, and in Chinese `3秒`, `2分05秒`, `1小时20分`. */
export function duration(seconds, language) {
  const all = Math.max(0, Math.round(seconds));
  const [s, m, hours] = [all % 60, Math.floor(all / 60) % 60, Math.floor(all / 3600)];
  const names = language === "zh" ? ["秒", "分", "小时", ""] : ["s", "m", "h", " "];
  const two = (number) => String(number).padStart(2, "0");
  if (hours) return `${hours}${names[2]}${names[3]}${two(m)}${names[1]}`;
  return m ? `${m}${names[1]}${names[3]}${two(s)}${names[0]}` : `${s}${names[0]}`;
}

/** What was typed as a time of a zone, `2026-11-10T20:04`, as RFC 3339 with that zone's offset then. */
export function withOffset(text, zone) {
  const [ms] = [Date.parse(`${text}:00Z`)];
  if (Number.isNaN(ms)) return null;
  let at = ms;
  for (let i = 0; i < 2; i += 1) at = ms - offset(at, zone); // once more where the clocks change in between
  return new Date(at).toISOString();
}

function offset(ms, zone) {
  const shown = clock(zone, { dateStyle: "short", timeStyle: "medium" }).format(ms).replace(" ", "T");
  return Date.parse(`${shown}Z`) - (ms - (ms % 1000));
}

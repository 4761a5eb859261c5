// What all views share: who is here, where they are, which brand and promotion they look at.

import { computed, shallowReactive } from "../vue.js";
import { get, request, segment, url } from "./api.js";
import { named } from "./i18n.js";
import { follow, live } from "./live.js";

export const state = shallowReactive({
  ready: false,
  session: null,
  brands: [],
  brand: "",
  facts: null,
  promotions: [],
  promotionId: "",
  page: location.pathname,
  query: location.search,
  failed: null,
});

const ROLES = ["viewer", "operator", "admin"];

/** Whether whoever is here has this role or a higher one. */
export function may(role) {
  return ROLES.indexOf(state.session?.role) >= ROLES.indexOf(role);
}

export function parameter(name) {
  return new URLSearchParams(location.search).get(name) ?? "";
}

/** An address within the screen that keeps brand and promotion. */
export function href(page, more = {}) {
  return url(page, { brand: state.brand, promotion: state.promotionId, ...more });
}

export function go(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  arrived();
}

async function arrived() {
  state.page = location.pathname;
  state.query = location.search;
  const brand = parameter("brand");
  if (brand && brand !== state.brand) await chooseBrand(brand);
  const promotion = parameter("promotion");
  if (promotion && state.promotions.some((one) => one.promotion_id === promotion)) state.promotionId = promotion;
}
addEventListener("popstate", arrived);

/** Finds out who is here and what they may see; leads to the sign-in page if need be. */
export async function enter() {
  try {
    state.session = await get("/session");
    state.brands = (await get("/brands")).brands;
    state.failed = null;
  } catch (error) {
    if (error.status === 401) return signIn();
    state.failed = error;
    setTimeout(enter, 3_000);
    return undefined;
  }
  const asked = parameter("brand");
  if (asked || state.brands.length) await chooseBrand(state.brands.includes(asked) || !state.brands.length ? asked : state.brands[0]);
  else setTimeout(enter, 5_000); // the first touchpoints bring the first brand
  state.ready = true;
  return undefined;
}

/** To the sign-in page, and back here afterwards. */
export function signIn() {
  const back = location.pathname + location.search;
  location.replace(url("/signin", { next: back === "/" ? "" : back }));
}

export async function signOut() {
  await request("DELETE", "/session").catch(() => undefined);
  location.assign("/signin");
}

async function chooseBrand(brand) {
  try {
    const [facts] = await Promise.all([get(`/brands/${segment(brand)}`)]);
    Object.assign(state, { brand, facts, promotionId: "", promotions: [] });
  } catch (error) {
    if (error.status === 401) return signIn();
    Object.assign(state, { brand, facts: null, failed: error });
    return undefined;
  }
  follow(brand);
  await loadPromotions();
  return undefined;
}

/** The brand's promotions, newest window first; the one asked for, or that runs, or the last one, is looked at. */
export async function loadPromotions() {
  const brand = state.brand;
  let items = [];
  try {
    items = (await get(url("/promotions", { brand }))).items;
  } catch {
    // the desk is away: figures go on without targets, the promotions page tells why
  }
  if (brand !== state.brand) return;
  items.sort((a, b) => Date.parse(b.window.from) - Date.parse(a.window.from));
  state.promotions = items;
  const asked = parameter("promotion");
  const known = (id) => items.some((one) => one.promotion_id === id);
  if (known(asked)) state.promotionId = asked;
  else if (!known(state.promotionId)) state.promotionId = (running(items) ?? items[0])?.promotion_id ?? "";
}

function running(items) {
  const now = live.snapshot?.as_of.watermark ?? Date.now();
  return items.find((one) => Date.parse(one.window.from) <= now && now < Date.parse(one.window.to));
}

export const promotion = computed(() => state.promotions.find((one) => one.promotion_id === state.promotionId) ?? null);
export const zone = computed(() => state.facts?.time_zone ?? "UTC");
export const currency = computed(() => state.facts?.currency ?? "CNY");

export function layerName(id) {
  return named(state.facts?.layers.find((layer) => layer.id === id)?.names, "");
}

export function layerPlace(id) {
  const place = state.facts?.layers.findIndex((layer) => layer.id === id) ?? -1;
  return place < 0 ? 0 : place;
}

export function channelFacts(id) {
  return state.facts?.channels.find((channel) => channel.id === id) ?? null;
}

export function channelName(id) {
  return named(channelFacts(id)?.labels, id);
}

// The live snapshot of a brand as the server sends it, and how old it is. The server says something every second, so silence tells.

import { shallowReactive } from "../vue.js";
import { API, segment } from "./api.js";

const SILENT_MS = 4_000;
const AGAIN_MS = 2_000;

/** `snapshot` is the newest; `freshness` the newest word on what stands still; `link` waiting, open or broken; `age` in seconds. */
export const live = shallowReactive({ snapshot: null, freshness: null, link: "waiting", silent: 0, age: null });

let source = null;
let again = 0;
let heard = performance.now();
let computed = null;
let following = "";

/** Follow this brand from now on, instead of any other. */
export function follow(brand) {
  if (brand === following) return;
  following = brand;
  Object.assign(live, { snapshot: null, freshness: null, link: "waiting", age: null, silent: 0 });
  computed = null;
  heard = performance.now();
  open();
}

function open() {
  clearTimeout(again);
  source?.close();
  if (!following) return;
  source = new EventSource(`${API}/brands/${segment(following)}/live`);
  source.addEventListener("snapshot", (event) => take(JSON.parse(event.data)));
  source.addEventListener("pulse", (event) => beat(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    // A connection that broke is opened again by the browser; one that was refused is not.
    if (source.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
  });
}

function take(snapshot) {
  heard = computed = performance.now();
  live.snapshot = snapshot;
  live.freshness = snapshot.freshness;
  tick();
}

function beat(pulse) {
  heard = performance.now();
  // ages are differences of the server's own clock: this machine's may be wrong
  if (pulse.computed_at !== null) computed = heard - (pulse.at - pulse.computed_at);
  live.freshness = pulse.freshness;
  tick();
}

function tick() {
  const now = performance.now();
  const silent = now - heard;
  live.silent = Math.floor(silent / 1000);
  live.link = silent > SILENT_MS ? "broken" : live.freshness ? "open" : "waiting";
  live.age = computed === null ? null : Math.max(0, Math.floor((now - computed) / 1000));
}

setInterval(tick, 500);
// Connections that a page keeps while it is away are of no use to it when it comes back.
addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => {
  if (event.persisted) open();
});

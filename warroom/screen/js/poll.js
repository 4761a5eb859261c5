// A resource that is asked for now and then while it is wanted; what has not changed is not sent again.

import { onScopeDispose, shallowReactive, watch } from "../vue.js";
import { request } from "./api.js";

/** {data, problem, loading} of a path (a function; empty: nothing wanted), asked again every `seconds`; `refresh()` asks now. */
export function usePoll(path, seconds) {
  const found = shallowReactive({ data: null, problem: null, loading: false, refresh });
  let timer = 0;
  let tag = "";
  let running = null;

  async function refresh() {
    clearTimeout(timer);
    const wanted = path();
    if (!wanted) return;
    running?.abort();
    const mine = new AbortController();
    running = mine;
    found.loading = true;
    try {
      const answer = await request("GET", wanted, { headers: tag ? { "If-None-Match": tag } : {}, signal: mine.signal });
      if (mine.signal.aborted) return;
      if (answer.status !== 304) found.data = answer.body;
      tag = answer.tag ?? "";
      found.problem = null;
    } catch (error) {
      if (mine.signal.aborted) return;
      found.problem = error;
    }
    found.loading = false;
    if (seconds) timer = setTimeout(refresh, seconds * 1000);
  }

  function leave() {
    clearTimeout(timer);
    running?.abort();
  }

  watch(path, () => {
    leave();
    tag = "";
    Object.assign(found, { data: null, problem: null, loading: false });
    refresh();
  }, { immediate: true });
  onScopeDispose(leave);
  return found;
}

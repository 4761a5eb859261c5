// A resource that is asked for now and then while it is wanted; what has not changed is not sent again.

import { onScopeDispose, shallowReactive, watch } from "../vue.js";
import { request } from "./api.js";
import { signIn } from "./store.js";

/** {data, problem, loading} of a path (a function; empty: nothing wanted), asked again every `seconds`; `refresh()` asks now. */
export function usePoll(path, seconds) {
  const found = shallowReactive({ data: null, problem: null, loading: false, refresh });
  let timer = 0;
  let tag = "";
  let running = null;

  async function refresh() {
    clearTimeout(timer);
    const wanted = path();
    if (!wanted) return undefined;
    running?.abort();
    const mine = new AbortController();
    running = mine;
    found.loading = true;
    try {
      const answer = await request("GET", wanted, { headers: tag ? { "If-None-Match": tag } : {}, signal: mine.signal });
      if (mine.signal.aborted) return undefined;
      if (answer.status !== 304) found.data = answer.body;
      tag = answer.tag ?? "";
      found.problem = null;
    } catch (error) {
      if (mine.signal.aborted) return undefined;
      if (error.status === 401) return signIn();
      found.problem = error;
    }
    found.loading = false;
    if (seconds) timer = setTimeout(refresh, seconds * 1000);
    return undefined;
  }

  function leave() {
    clearTimeout(timer);
    running?.abort();
  }

  watch(
    path,
    () => {
      leave();
      tag = "";
      Object.assign(found, { data: null, problem: null, loading: false });
      refresh();
    },
    { immediate: true },
  );
  onScopeDispose(leave);
  return found;
}

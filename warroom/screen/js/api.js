// The REST API: JSON in, JSON out, problems as errors that say what was expected.

export const API = "/api/v1";

/** What went wrong, as the server tells it (RFC 9457); status 0 where nobody answered. */
export class Problem extends Error {
  constructor(status, detail, errors, headers) {
    super(detail);
    this.status = status;
    this.errors = errors ?? [];
    this.headers = headers;
  }
}

/** Asks; {body, tag, status}. Throws Problem. A 304 has no body. */
export async function request(method, path, { body, headers = {}, signal } = {}) {
  let answer;
  try {
    answer = await fetch(API + path, {
      method,
      signal,
      cache: "no-store",
      credentials: "same-origin",
      headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "");
  }
  if (answer.status === 304 || answer.status === 204) return { status: answer.status, tag: answer.headers.get("etag"), body: null };
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, told?.detail ?? answer.statusText, told?.errors, answer.headers);
  return { status: answer.status, tag: answer.headers.get("etag"), body: told };
}

export const get = async (path, options) => (await request("GET", path, options)).body;

/** A path with its parameters, empty ones left out. */
export function url(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

export const segment = encodeURIComponent;

// Calls of the public API. The access token is kept in this module's memory and nowhere else.
const PAGE = "/portal/chat";
const API = "/api/gateway";

/** What the service answered with instead: a problem document (RFC 9457), or as much of one as there is. */
export class Refused extends Error {
  constructor(status, problem, retryAfter) {
    super(problem?.message ?? `The service answered with status ${status}`);
    Object.assign(this, { status, problem: problem ?? {}, code: problem?.error, retryAfter });
  }
}

/** Nothing, or not everything, came back. */
export class ConnectionLost extends Error {}

export class SignedOut extends Error {}

let token = null;
let renewAt = 0;
let asked = null;

async function accessToken() {
  if (token === null || Date.now() >= renewAt) {
    asked ??= askForToken().finally(() => (asked = null));
    await asked;
  }
  return token;
}

async function askForToken() {
  const csrfToken = document.querySelector(".who [name=csrf_token]").value;
  const answer = await fetched(`${PAGE}/token`, { method: "POST", body: new URLSearchParams({ csrf_token: csrfToken }) });
  if (answer.status === 401 || answer.status === 403) throw new SignedOut();
  const given = await jsonOf(answer);
  token = given.access_token;
  renewAt = Date.now() + (given.expires_in - 30) * 1000;
}

async function fetched(address, options) {
  try {
    return await fetch(address, { ...options, cache: "no-store" });
  } catch (error) {
    throw error.name === "AbortError" ? error : new ConnectionLost();
  }
}

async function jsonOf(answer) {
  const text = await answer.text().catch(() => { throw new ConnectionLost(); });
  let document = null;
  try {
    document = text ? JSON.parse(text) : null;
  } catch {
    if (answer.ok) throw new ConnectionLost();
  }
  if (!answer.ok) throw new Refused(answer.status, document, Number(answer.headers.get("Retry-After")) || null);
  return document;
}

/** The answer, once it is known to be no problem. */
export async function open(method, path, { body, key, events, signal } = {}) {
  for (let first = true; ; first = false) {
    const headers = { Authorization: `Bearer ${await accessToken()}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (key !== undefined) headers["Idempotency-Key"] = key;
    if (events) headers.Accept = "text/event-stream";
    const answer = await fetched(API + path, { method, headers, signal, body: body && JSON.stringify(body) });
    if (answer.ok) return answer;
    if (answer.status !== 401 || !first) await jsonOf(answer);
    token = null;
  }
}

export async function call(method, path, body) {
  return jsonOf(await open(method, path, { body }));
}

/** Messages as the page shows them: with their HTML. */
export async function shown(path) {
  const answer = await fetched(PAGE + path, {});
  if (answer.status === 401) throw new SignedOut();
  return jsonOf(answer);
}

export function query(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}

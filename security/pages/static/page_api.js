// Calls of the public API by the script of a page. The access token is kept in this module's memory and nowhere else.

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

const RENEW_BEFORE_SECONDS = 30;

/** `page`: the address of the page, which gives the token out. `root`: what the paths of its calls begin with. */
export class PageApi {
  #page;
  #root;
  #token = null;
  #renewAt = 0;
  #asked = null;

  constructor(page, root) {
    this.#page = page;
    this.#root = root;
  }

  async accessToken() {
    if (this.#token === null || Date.now() >= this.#renewAt) await this.newToken();
    return this.#token;
  }

  async newToken() {
    this.#asked ??= this.#askForToken().finally(() => (this.#asked = null));
    await this.#asked;
    return this.#token;
  }

  /** The answer, once it is known to be no problem. */
  async open(method, path, { body, key, events, signal } = {}) {
    for (let first = true; ; first = false) {
      const headers = { Authorization: `Bearer ${await this.accessToken()}` };
      if (body !== undefined) headers["Content-Type"] = "application/json";
      if (key !== undefined) headers["Idempotency-Key"] = key;
      if (events) headers.Accept = "text/event-stream";
      const answer = await fetched(this.#root + path, { method, headers, signal, body: body && JSON.stringify(body) });
      if (answer.ok) return answer;
      if (answer.status !== 401 || !first) await jsonOf(answer);
      this.#token = null;
    }
  }

  async call(method, path, body) {
    return jsonOf(await this.open(method, path, { body }));
  }

  /** What the page's own routes say. */
  async shown(path) {
    const answer = await fetched(this.#page + path, {});
    if (answer.status === 401) throw new SignedOut();
    return jsonOf(answer);
  }

  async #askForToken() {
    const csrfToken = document.querySelector(".who [name=csrf_token]").value;
    const sent = { method: "POST", body: new URLSearchParams({ csrf_token: csrfToken }) };
    const answer = await fetched(`${this.#page}/token`, sent);
    if (answer.status === 401 || answer.status === 403) throw new SignedOut();
    const given = await jsonOf(answer);
    this.#token = given.access_token;
    this.#renewAt = Date.now() + (given.expires_in - RENEW_BEFORE_SECONDS) * 1000;
  }
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

export function query(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}

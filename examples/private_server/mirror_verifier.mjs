// Verifies the requests of a MirrorOS gateway and signs the answers (MIRROR-HMAC-SHA256-V1).
//
// Copy this one file into your server: Node 18 or newer, node:crypto only. mirror_verifier.py is its twin for Python.
//
//   const verifier = new RequestVerifier(readKeys(process.env), new MemoryNonceStore());
//   const headers = headerPairs(request.rawHeaders);
//   try {
//     const verified = await verifier.verify({ method: request.method, target: request.url, headers, body });
//     response.writeHead(200, verifier.signResponse(verified, 200, "application/json", result)).end(result);
//   } catch (refused) {
//     if (!(refused instanceof RequestRefused)) throw refused;
//     response.writeHead(refused.status, refused.headers()).end(refused.body());
//   }

import { createHash, createHmac, timingSafeEqual } from "node:crypto";

const REQUEST_SCHEME = "MIRROR-HMAC-SHA256-V1";
const RESPONSE_SCHEME = "MIRROR-HMAC-SHA256-V1-RESPONSE";

const KEY_ID = /^[A-Za-z0-9._-]{1,64}$/;
const DIGEST = /^[0-9a-f]{64}$/;
const METHOD = /^[A-Z]{1,20}$/;
const TARGET = /^\/[!-~]*(?<!\?)$/;
const SIGNED_HEADERS = {
  "x-mirror-key-id": KEY_ID,
  "x-mirror-timestamp": /^(?:0|[1-9][0-9]{0,11})$/,
  "x-mirror-nonce": /^[A-Za-z0-9_-]{22}$/,
  "x-mirror-content-sha256": DIGEST,
  "x-mirror-signature": /^v[1-9][0-9]{0,2}=[0-9A-Za-z_-]{1,128}(?: v[1-9][0-9]{0,2}=[0-9A-Za-z_-]{1,128}){0,7}$/,
};
const OPTIONAL_HEADERS = {
  "content-type": /^(?:[!-~](?:[ -~]*[!-~])?)?$/,
  "x-mirror-context": /^[A-Za-z0-9_-]{0,1024}$/,
};

// The request is not to be answered. `code` is for the log; all refusals look alike but for it.
export class RequestRefused extends Error {
  constructor(status, code, { serverTime, cause } = {}) {
    super(code, { cause });
    this.status = status;
    this.code = code;
    this.serverTime = serverTime;
  }

  headers() {
    const headers = { "Content-Type": "application/problem+json" };
    if (this.status === 401) headers["WWW-Authenticate"] = REQUEST_SCHEME;
    return headers;
  }

  // RFC 9457 problem details.
  body() {
    const problem = { title: "The request was refused", status: this.status, code: this.code };
    if (this.serverTime !== undefined) problem.server_time = this.serverTime;
    return JSON.stringify(problem);
  }
}

// Nonces of one process; gone after a restart. With several processes write a class with the same `remember` (it may
// return a promise) over a shared store: `SET key 1 NX EX seconds` in Redis is enough.
export class MemoryNonceStore {
  #expiries = new Map();

  constructor(capacity = 1_000_000, clock = () => Date.now() / 1000) {
    this.capacity = capacity;
    this.clock = clock;
  }

  // True when the key was not known. An exception means that nobody can tell: the request is refused with 503.
  remember(key, seconds) {
    const now = this.clock();
    for (const [oldest, expiry] of this.#expiries) {
      if (expiry > now) break;
      this.#expiries.delete(oldest);
    }
    if (this.#expiries.has(key)) return false;
    if (this.#expiries.size >= this.capacity) throw new Error("the nonce store is full");
    this.#expiries.set(key, now + seconds);
    return true;
  }
}

// PRIVATE_API_KEYS (k2:msk_…,k1:msk_…), or else PRIVATE_API_SECRET as the one key k1. A Map from key id to secret.
export function readKeys(environment) {
  const keys = new Map();
  if (environment.PRIVATE_API_KEYS) {
    for (const entry of environment.PRIVATE_API_KEYS.split(",")) {
      const [, keyId, secret] = /^([^:]*):(msk_.*)$/.exec(entry.trim()) ?? [];
      if (keyId === undefined || !KEY_ID.test(keyId) || keys.has(keyId)) {
        throw new Error("PRIVATE_API_KEYS is a list of different ids, id:msk_base64, separated by commas");
      }
      keys.set(keyId, secretBytes(secret));
    }
  } else if (environment.PRIVATE_API_SECRET) {
    keys.set("k1", secretBytes(environment.PRIVATE_API_SECRET));
  } else {
    throw new Error("PRIVATE_API_SECRET or PRIVATE_API_KEYS must be set");
  }
  return keys;
}

function secretBytes(text) {
  let secret = Buffer.from(text, "utf8");
  if (text.startsWith("msk_")) {
    const encoded = text.slice(4);
    // Buffer.from skips what is not base64; the length of a multiple of four and the alphabet are checked here.
    if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(encoded)) {
      throw new Error("what follows msk_ must be standard base64 with its padding");
    }
    secret = Buffer.from(encoded, "base64");
  }
  if (secret.length < 32) throw new Error("a signing secret has at least 32 bytes");
  return secret;
}

// Node's `headers` joins or drops a header that was sent twice; `rawHeaders` shows it.
export function headerPairs(rawHeaders) {
  const pairs = [];
  for (let index = 0; index < rawHeaders.length; index += 2) pairs.push([rawHeaders[index], rawHeaders[index + 1]]);
  return pairs;
}

// `v1=` and the MAC of the ten lines.
export function requestSignature(secret, { keyId, timestamp, nonce, method, target, contentType, context, digest }) {
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? "" : target.slice(mark + 1);
  const lines = [REQUEST_SCHEME, keyId, timestamp, nonce, method, path, query, contentType, context, digest];
  return signature(secret, lines);
}

// `v1=` and the MAC of the seven lines. Another first line: a request's signature can never pass for a response's.
export function responseSignature(secret, { keyId, timestamp, nonce, status, contentType, body }) {
  return signature(secret, [RESPONSE_SCHEME, keyId, timestamp, nonce, String(status), contentType, sha256(body)]);
}

function signature(secret, lines) {
  return "v1=" + createHmac("sha256", secret).update(lines.join("\n"), "utf8").digest("hex");
}

function sha256(body) {
  return createHash("sha256").update(body).digest("hex");
}

function equal(left, right) {
  const [leftBytes, rightBytes] = [Buffer.from(left), Buffer.from(right)];
  return leftBytes.length === rightBytes.length && timingSafeEqual(leftBytes, rightBytes);
}

// The `v1=` values; other versions may stand beside them during a migration. Empty when one is malformed.
function version1(header) {
  const values = header.split(" ").filter((value) => value.startsWith("v1="));
  return values.every((value) => DIGEST.test(value.slice(3))) ? values : [];
}

export class RequestVerifier {
  #keys;

  constructor(keys, nonces, { toleranceSeconds = 300, bodyLimit = 1024 * 1024, clock = () => Date.now() / 1000 } = {}) {
    if (!(toleranceSeconds >= 30 && toleranceSeconds <= 300)) {
      throw new Error("the clock tolerance is 30 to 300 seconds");
    }
    this.#keys = keys;
    this.nonces = nonces;
    this.toleranceSeconds = toleranceSeconds;
    this.bodyLimit = bodyLimit;
    this.clock = clock;
  }

  // `target` as in the request line; `headers` as pairs, so that one sent twice is seen; `body` is a Buffer.
  // Throws RequestRefused. The nonce is remembered last, after the MAC, so that strangers cannot fill the store.
  async verify({ method, target, headers, body }) {
    const found = readHeaders(method, target, headers);
    const keyId = found["x-mirror-key-id"];
    const timestamp = found["x-mirror-timestamp"];
    const nonce = found["x-mirror-nonce"];
    const secret = this.#keys.get(keyId);
    if (secret === undefined) throw new RequestRefused(401, "key_unknown");
    const now = Math.floor(this.clock());
    if (Math.abs(now - Number(timestamp)) > this.toleranceSeconds) {
      throw new RequestRefused(401, "clock_skew", { serverTime: now });
    }
    if (body.length > this.bodyLimit) throw new RequestRefused(413, "body_too_large");
    const digest = sha256(body);
    if (!equal(digest, found["x-mirror-content-sha256"])) throw new RequestRefused(401, "digest_mismatch");
    const expected = requestSignature(secret, {
      keyId, timestamp, nonce, method, target, digest,
      contentType: found["content-type"],
      context: found["x-mirror-context"],
    });
    const presented = version1(found["x-mirror-signature"]);
    if (!presented.some((value) => equal(expected, value))) throw new RequestRefused(401, "signature_invalid");
    await this.#remember(keyId, nonce);
    return { keyId, nonce, timestamp: Number(timestamp), context: found["x-mirror-context"] };
  }

  // The headers of the answer. Signed with the key of the request: the gateway has that one for certain, whichever side
  // drops an old key first.
  signResponse(request, status, contentType, body) {
    const { keyId, nonce } = request;
    const timestamp = String(Math.floor(this.clock()));
    const fields = { keyId, timestamp, nonce, status, contentType, body };
    const headers = {
      "X-Mirror-Key-Id": keyId,
      "X-Mirror-Timestamp": timestamp,
      "X-Mirror-Signature": responseSignature(this.#keys.get(keyId), fields),
    };
    return contentType ? { "Content-Type": contentType, ...headers } : headers;
  }

  async #remember(keyId, nonce) {
    let isNew;
    try {
      // Twice the tolerance, for a signer whose clock is fast; one second more, because both clocks are cut to seconds.
      isNew = await this.nonces.remember(`mirror:nonce:${keyId}:${nonce}`, 2 * this.toleranceSeconds + 1);
    } catch (failure) {
      throw new RequestRefused(503, "nonce_store_unavailable", { cause: failure });
    }
    if (!isNew) throw new RequestRefused(401, "replayed");
  }
}

// rid, sub, tier, idem, deadline_ms: the only word about the caller to trust. Throws RequestRefused.
export function contextMembers(verified) {
  if (!verified.context) return {};
  let members = null;
  try {
    members = JSON.parse(Buffer.from(verified.context, "base64url").toString("utf8"));
  } catch {
    // refused below, with everything else that is no object
  }
  if (members === null || typeof members !== "object" || Array.isArray(members)) {
    throw new RequestRefused(400, "context_malformed");
  }
  return members;
}

// The headers that count, each proved to be there once and well formed.
function readHeaders(method, target, headers) {
  const rules = { ...SIGNED_HEADERS, ...OPTIONAL_HEADERS };
  const found = new Map(Object.keys(rules).map((name) => [name, []]));
  for (const [name, value] of headers) found.get(name.toLowerCase())?.push(value);
  if (Object.keys(SIGNED_HEADERS).some((name) => found.get(name).length === 0)) {
    throw new RequestRefused(401, "signature_missing");
  }
  const single = Object.fromEntries([...found].map(([name, values]) => [name, values[0] ?? ""]));
  const wellFormed =
    [...found.values()].every((values) => values.length <= 1) &&
    METHOD.test(method) &&
    TARGET.test(target) &&
    Object.entries(rules).every(([name, rule]) => rule.test(single[name])) &&
    version1(single["x-mirror-signature"]).length > 0;
  if (!wellFormed) throw new RequestRefused(401, "signature_malformed");
  return single;
}

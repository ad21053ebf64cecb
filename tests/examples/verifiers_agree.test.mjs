// Run by test_verifiers_agree.py, which writes the cases; alone (`node --test`) it checks the published vectors only.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import test from "node:test";

import {
  MemoryNonceStore,
  RequestRefused,
  RequestVerifier,
  contextMembers,
  headerPairs,
  readKeys,
  requestSignature,
  responseSignature,
} from "../../examples/private_server/mirror_verifier.mjs";

const vectors = JSON.parse(
  readFileSync(new URL("../../examples/private_server/vectors.json", import.meta.url), "utf8"),
);

const casesFile = process.env.MIRROR_CASES;
const cases = casesFile ? JSON.parse(readFileSync(casesFile, "utf8")) : { requests: [], responses: [], settings: [] };

async function verdict(verifier, request) {
  try {
    await verifier.verify(request);
    return "accepted";
  } catch (refused) {
    if (!(refused instanceof RequestRefused)) throw refused;
    return refused.code;
  }
}

test("the published request vectors are reproduced", () => {
  for (const vector of vectors.requests) {
    const made = requestSignature(Buffer.from(vectors.secret), {
      keyId: vectors.key_id,
      timestamp: vector.timestamp,
      nonce: vectors.nonce,
      method: vector.method,
      target: vector.target,
      contentType: vector.content_type,
      context: vector.context,
      digest: vector.body_sha256,
    });
    assert.equal(made, vector.signature, vector.name);
  }
});

test("the published response vectors are reproduced", () => {
  for (const vector of vectors.responses) {
    const made = responseSignature(Buffer.from(vectors.secret), {
      keyId: vectors.key_id,
      timestamp: vector.timestamp,
      nonce: vectors.nonce,
      status: vector.status,
      contentType: vector.content_type,
      body: Buffer.from(vector.body),
    });
    assert.equal(made, vector.signature, vector.name);
  }
});

test("every request gets the same verdict as in Python", { skip: !casesFile && "no cases" }, async () => {
  const keys = new Map(Object.entries(cases.keys).map(([id, secret]) => [id, Buffer.from(secret, "base64")]));
  const verifier = new RequestVerifier(keys, new MemoryNonceStore(1e6, () => cases.now), { clock: () => cases.now });
  assert.ok(cases.requests.length > 0);
  for (const [number, { method, target, headers, body, verdict: expected }] of cases.requests.entries()) {
    const found = await verdict(verifier, { method, target, headers, body: Buffer.from(body, "base64") });
    assert.equal(found, expected, `case ${number}: ${method} ${target} ${JSON.stringify(headers)}`);
  }
});

test("every answer is signed as in Python", { skip: !casesFile && "no cases" }, () => {
  const keys = new Map(Object.entries(cases.keys).map(([id, secret]) => [id, Buffer.from(secret, "base64")]));
  const verifier = new RequestVerifier(keys, new MemoryNonceStore(), { clock: () => cases.now });
  assert.ok(cases.responses.length > 0);
  const answers = cases.responses.map(({ keyId, nonce, status, contentType, body, headers }) => {
    const made = verifier.signResponse({ keyId, nonce }, status, contentType, Buffer.from(body, "base64"));
    assert.deepEqual(made, headers);
    return made;
  });
  writeFileSync(process.env.MIRROR_ANSWERS, JSON.stringify(answers));
});

test("the same settings are read as the same keys as in Python", { skip: !casesFile && "no cases" }, () => {
  assert.ok(cases.settings.length > 0);
  for (const { environment, keys } of cases.settings) {
    if (keys === null) {
      assert.throws(() => readKeys(environment), Error, JSON.stringify(environment));
    } else {
      const found = [...readKeys(environment)].map(([id, secret]) => [id, secret.toString("base64")]);
      assert.deepEqual(found, keys);
    }
  }
});

test("a store that cannot answer refuses with 503", async () => {
  const vector = vectors.requests[0];
  const now = Number(vector.timestamp);
  const failing = { remember: () => Promise.reject(new Error("no connection")) };
  const keys = new Map([[vectors.key_id, Buffer.from(vectors.secret)]]);
  const request = {
    method: vector.method,
    target: vector.target,
    headers: [
      ["X-Mirror-Key-Id", vectors.key_id],
      ["X-Mirror-Timestamp", vector.timestamp],
      ["X-Mirror-Nonce", vectors.nonce],
      ["X-Mirror-Context", vector.context],
      ["X-Mirror-Content-SHA256", vector.body_sha256],
      ["X-Mirror-Signature", vector.signature],
      ["Content-Type", vector.content_type],
    ],
    body: Buffer.from(vector.body),
  };
  await assert.rejects(new RequestVerifier(keys, failing, { clock: () => now }).verify(request), {
    status: 503,
    code: "nonce_store_unavailable",
  });
  const verified = await new RequestVerifier(keys, new MemoryNonceStore(), { clock: () => now }).verify(request);
  assert.deepEqual(contextMembers(verified), { rid: "req_01", sub: "u_01", tier: "pro" });
});

test("the full memory store refuses, and has room again when nonces expire", () => {
  let now = 0;
  const store = new MemoryNonceStore(1, () => now);
  assert.equal(store.remember("a", 10), true);
  assert.equal(store.remember("a", 10), false);
  assert.throws(() => store.remember("b", 10));
  now = 10;
  assert.equal(store.remember("b", 10), true);
});

test("a header sent twice over HTTP is seen", async () => {
  let pairs;
  const server = createServer((request, response) => {
    pairs = headerPairs(request.rawHeaders);
    response.end();
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const { connect } = await import("node:net");
  const socket = connect(server.address().port, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nHost: a\r\nX-Mirror-Nonce: 1\r\nx-mirror-nonce: 2\r\nConnection: close\r\n\r\n");
  socket.resume();
  await new Promise((closed) => socket.on("close", closed));
  server.close();
  assert.deepEqual(pairs.filter(([name]) => name.toLowerCase() === "x-mirror-nonce").map(([, value]) => value), ["1", "2"]);
});

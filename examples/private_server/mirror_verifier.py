"""Verifies the requests of a MirrorOS gateway and signs the answers (MIRROR-HMAC-SHA256-V1).

Copy this one file into your server: Python 3.11, standard library only. `mirror_verifier.mjs` is its twin.

    keys = read_keys(os.environ)
    verifier = RequestVerifier(keys, MemoryNonceStore())
    try:
        verified = verifier.verify(method, target, header_pairs, body)
    except RequestRefused as refused:
        answer(refused.status, refused.headers(), refused.body())
    else:
        answer(200, verifier.sign_response(verified, 200, "application/json", result), result)
"""

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

REQUEST_SCHEME = "MIRROR-HMAC-SHA256-V1"
RESPONSE_SCHEME = "MIRROR-HMAC-SHA256-V1-RESPONSE"

KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,11}")
NONCE = re.compile(r"[A-Za-z0-9_-]{22}")
DIGEST = re.compile(r"[0-9a-f]{64}")
METHOD = re.compile(r"[A-Z]{1,20}")
TARGET = re.compile(r"/[!-~]*(?<!\?)")
CONTENT_TYPE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
CONTEXT = re.compile(r"[A-Za-z0-9_-]{0,1024}")
SIGNATURE = re.compile(r"v[1-9][0-9]{0,2}=[0-9A-Za-z_-]{1,128}(?: v[1-9][0-9]{0,2}=[0-9A-Za-z_-]{1,128}){0,7}")

SIGNED_HEADERS = {
    "x-mirror-key-id": KEY_ID,
    "x-mirror-timestamp": TIMESTAMP,
    "x-mirror-nonce": NONCE,
    "x-mirror-content-sha256": DIGEST,
    "x-mirror-signature": SIGNATURE,
}
OPTIONAL_HEADERS = {"content-type": CONTENT_TYPE, "x-mirror-context": CONTEXT}


class RequestRefused(Exception):
    """The request is not to be answered. `code` is for the log; all refusals look alike but for it."""

    def __init__(self, status: int, code: str, *, server_time: int | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.server_time = server_time

    def headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/problem+json"}
        if self.status == 401:
            headers["WWW-Authenticate"] = REQUEST_SCHEME
        return headers

    def body(self) -> bytes:
        """RFC 9457 problem details."""
        problem: dict[str, Any] = {
            "title": "The request was refused",
            "status": self.status,
            "code": self.code,
        }
        if self.server_time is not None:
            problem["server_time"] = self.server_time
        return json.dumps(problem).encode()


class NonceStore(Protocol):
    """Remembers nonces. Several processes must share one: `SET key 1 NX EX seconds` in Redis is enough."""

    def remember(self, key: str, seconds: int) -> bool:
        """True when the key was new. Any exception means that nobody can tell: the answer is then 503."""


class NonceStoreFull(Exception):
    """More correctly signed requests than the store can hold arrived within its time."""


class MemoryNonceStore:
    """Nonces of one process. A restart loses them: a request can then be replayed within the tolerance."""

    def __init__(self, capacity: int = 1_000_000, clock: Callable[[], float] = time.time) -> None:
        self._capacity = capacity
        self._clock = clock
        self._expiries: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, key: str, seconds: int) -> bool:
        now = self._clock()
        with self._lock:
            while self._expiries:
                oldest, expiry = self._expiries.popitem(last=False)
                if expiry > now:
                    self._expiries[oldest] = expiry
                    self._expiries.move_to_end(oldest, last=False)
                    break
            if key in self._expiries:
                return False
            if len(self._expiries) >= self._capacity:
                raise NonceStoreFull
            self._expiries[key] = now + seconds
            return True


@dataclass(frozen=True)
class VerifiedRequest:
    key_id: str
    nonce: str
    timestamp: int
    context: str
    """X-Mirror-Context as it was sent, or empty."""

    def context_members(self) -> dict[str, Any]:
        """rid, sub, tier, idem, deadline_ms:

        the only word about the caller to trust. Raises RequestRefused.
        """
        if not self.context:
            return {}
        try:
            members = json.loads(base64.urlsafe_b64decode(self.context + "=" * (-len(self.context) % 4)))
        except (ValueError, RecursionError):
            members = None
        if not isinstance(members, dict):
            raise RequestRefused(400, "context_malformed")
        return members


@dataclass(frozen=True)
class Keys:
    """Secrets by key id, kept out of `repr` and so out of logs. The first is the newest."""

    secrets: Mapping[str, bytes] = field(repr=False)


def read_keys(environment: Mapping[str, str]) -> Keys:
    """PRIVATE_API_KEYS (`k2:msk_…,k1:msk_…`), else PRIVATE_API_SECRET as the one key k1.

    Raises ValueError.
    """
    secrets: dict[str, bytes] = {}
    if environment.get("PRIVATE_API_KEYS"):
        for entry in environment["PRIVATE_API_KEYS"].split(","):
            key_id, _, secret = entry.strip().partition(":")
            if not KEY_ID.fullmatch(key_id) or key_id in secrets or not secret.startswith("msk_"):
                raise ValueError("PRIVATE_API_KEYS is a list of different ids, id:msk_base64, separated by commas")
            secrets[key_id] = _secret_bytes(secret)
    elif environment.get("PRIVATE_API_SECRET"):
        secrets["k1"] = _secret_bytes(environment["PRIVATE_API_SECRET"])
    else:
        raise ValueError("PRIVATE_API_SECRET or PRIVATE_API_KEYS must be set")
    return Keys(secrets)


def _secret_bytes(text: str) -> bytes:
    if text.startswith("msk_"):
        try:
            secret = base64.b64decode(text.removeprefix("msk_"), validate=True)
        except ValueError:
            raise ValueError("what follows msk_ must be standard base64 with its padding") from None
    else:
        secret = text.encode()
    if len(secret) < 32:
        raise ValueError("a signing secret has at least 32 bytes")
    return secret


def request_signature(secret: bytes, *, target: str, **fields: str) -> str:
    """`v1=` and the MAC of the ten lines.

    `fields` are key_id, timestamp, nonce, method, content_type, context and digest.
    """
    path, _, query = target.partition("?")
    head = (
        REQUEST_SCHEME,
        fields["key_id"],
        fields["timestamp"],
        fields["nonce"],
        fields["method"],
        path,
        query,
    )
    return _signature(secret, (*head, fields["content_type"], fields["context"], fields["digest"]))


def response_signature(
    secret: bytes, *, key_id: str, timestamp: str, nonce: str, status: int, content_type: str, body: bytes
) -> str:
    """`v1=` and the MAC of the seven lines.

    Their first line differs, so that a request's signature can never pass for a response's.
    """
    digest = hashlib.sha256(body).hexdigest()
    return _signature(secret, (RESPONSE_SCHEME, key_id, timestamp, nonce, str(status), content_type, digest))


def _signature(secret: bytes, lines: tuple[str, ...]) -> str:
    return "v1=" + hmac.digest(secret, "\n".join(lines).encode(), "sha256").hex()


class RequestVerifier:
    """Checks one request after another; may be shared by threads."""

    def __init__(
        self,
        keys: Keys,
        nonces: NonceStore,
        *,
        tolerance_seconds: int = 300,
        body_limit: int = 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 30 <= tolerance_seconds <= 300:
            raise ValueError("the clock tolerance is 30 to 300 seconds")
        self.body_limit = body_limit
        self._secrets = keys.secrets
        self._nonces = nonces
        self._tolerance = tolerance_seconds
        self._clock = clock

    def verify(self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> VerifiedRequest:
        """`target` as in the request line; `headers` as pairs, so that one sent twice is seen.

        Raises RequestRefused. The nonce is remembered last, after the MAC, so that strangers cannot fill
        the store.
        """
        found = self._read_headers(method, target, headers)
        key_id, timestamp, nonce = (
            found["x-mirror-key-id"],
            found["x-mirror-timestamp"],
            found["x-mirror-nonce"],
        )
        secret = self._secrets.get(key_id)
        if secret is None:
            raise RequestRefused(401, "key_unknown")
        now = int(self._clock())
        if abs(now - int(timestamp)) > self._tolerance:
            raise RequestRefused(401, "clock_skew", server_time=now)
        if len(body) > self.body_limit:
            raise RequestRefused(413, "body_too_large")
        digest = hashlib.sha256(body).hexdigest()
        if not hmac.compare_digest(digest, found["x-mirror-content-sha256"]):
            raise RequestRefused(401, "digest_mismatch")
        expected = request_signature(
            secret,
            target=target,
            key_id=key_id,
            timestamp=timestamp,
            nonce=nonce,
            method=method,
            content_type=found["content-type"],
            context=found["x-mirror-context"],
            digest=digest,
        )
        presented = _version_1(found["x-mirror-signature"])
        if not any(hmac.compare_digest(expected, value) for value in presented):
            raise RequestRefused(401, "signature_invalid")
        self._remember(key_id, nonce)
        return VerifiedRequest(key_id, nonce, int(timestamp), found["x-mirror-context"])

    def sign_response(self, request: VerifiedRequest, status: int, content_type: str, body: bytes) -> dict[str, str]:
        """The headers of the answer, Content-Type included.

        Signed with the key of the request, which the gateway has for certain: so it does not matter which
        side drops an old key first.
        """
        timestamp = str(int(self._clock()))
        signature = response_signature(
            self._secrets[request.key_id],
            key_id=request.key_id,
            timestamp=timestamp,
            nonce=request.nonce,
            status=status,
            content_type=content_type,
            body=body,
        )
        headers = {
            "X-Mirror-Key-Id": request.key_id,
            "X-Mirror-Timestamp": timestamp,
            "X-Mirror-Signature": signature,
        }
        return {"Content-Type": content_type, **headers} if content_type else headers

    def _read_headers(self, method: str, target: str, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
        """The headers that count, each proved to be there once and well formed."""
        found: dict[str, list[str]] = {name: [] for name in (*SIGNED_HEADERS, *OPTIONAL_HEADERS)}
        for name, value in headers:
            if name.lower() in found:
                found[name.lower()].append(value)
        if not all(found[name] for name in SIGNED_HEADERS):
            raise RequestRefused(401, "signature_missing")
        single = {name: values[0] if values else "" for name, values in found.items()}
        if (
            any(len(values) > 1 for values in found.values())
            or not METHOD.fullmatch(method)
            or not TARGET.fullmatch(target)
            or not all(rule.fullmatch(single[name]) for name, rule in (SIGNED_HEADERS | OPTIONAL_HEADERS).items())
            or not _version_1(single["x-mirror-signature"])
        ):
            raise RequestRefused(401, "signature_malformed")
        return single

    def _remember(self, key_id: str, nonce: str) -> None:
        # The signer's clock may be fast by the tolerance, so a nonce counts for twice that time, and for one
        # second more because both clocks are cut to whole seconds.
        try:
            new = self._nonces.remember(f"mirror:nonce:{key_id}:{nonce}", 2 * self._tolerance + 1)
        except Exception as failure:
            raise RequestRefused(503, "nonce_store_unavailable") from failure
        if not new:
            raise RequestRefused(401, "replayed")


def _version_1(header: str) -> list[str]:
    """The `v1=` values, none when one is malformed. Other versions may stand beside them in a migration."""
    values = [value for value in header.split(" ") if value.startswith("v1=")]
    return values if all(DIGEST.fullmatch(value[3:]) for value in values) else []

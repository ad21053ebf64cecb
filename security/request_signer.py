"""MIRROR-HMAC-SHA256-V1: signs what the gateway sends to the private server and checks what comes back.

The scheme signs bytes as they are on the wire; nothing is decoded, sorted or written anew, so that any
language can follow it. docs/private-server.md describes it for the authors of private servers.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import orjson

from security.base64url import base64url
from security.secrets.hmac_sha256 import hmac_sha256
from security.secrets.signing_keys import KEY_ID, PrivateServerKeys

REQUEST_SCHEME = "MIRROR-HMAC-SHA256-V1"
RESPONSE_SCHEME = "MIRROR-HMAC-SHA256-V1-RESPONSE"
CLOCK_TOLERANCE_SECONDS = 300

METHOD = re.compile(r"[A-Z]{1,20}")
TARGET = re.compile(r"/[!-~]*(?<!\?)")
"""Visible ASCII from the first slash.

A bare `?` at the end is refused: its signature would equal one without it.
"""
CONTENT_TYPE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
NONCE = re.compile(r"[A-Za-z0-9_-]{22}")
CONTEXT = re.compile(r"[A-Za-z0-9_-]{0,1024}")
TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,11}")
SIGNATURE = re.compile(r"v[1-9][0-9]{0,2}=[0-9A-Za-z_-]{1,128}(?: v[1-9][0-9]{0,2}=[0-9A-Za-z_-]{1,128}){0,7}")
VERSION_1_VALUE = re.compile(r"[0-9a-f]{64}")

SIGNATURE_HEADERS = ("x-mirror-key-id", "x-mirror-timestamp", "x-mirror-signature")
COVERED_HEADERS = frozenset({"content-type", *SIGNATURE_HEADERS})


class RequestCannotBeSigned(ValueError):
    """A field holds a character that the scheme refuses (a line break above all), or is too long."""


class ResponseNotTrusted(Exception):
    """The answer is not proved to be the private server's. `reason` is for the log, never for the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ResponseNotSigned(ResponseNotTrusted):
    def __init__(self) -> None:
        super().__init__("response_not_signed")


@dataclass(slots=True)
class CallContext:
    """What the private server may know of a call: the only signed word about who is asking.

    `deadline_ms` is the time that the gateway will still wait, in milliseconds, so no two clocks are compared.
    """

    request_id: str
    user_id: str
    tier: str
    deadline_ms: int
    idempotency_key: str | None = None

    def encoded(self) -> str:
        """The value of X-Mirror-Context: base64url of compact JSON, without padding."""
        document = orjson.dumps(
            {
                "rid": self.request_id,
                "sub": self.user_id,
                "tier": self.tier,
                "idem": self.idempotency_key,
                "deadline_ms": self.deadline_ms,
            }
        )
        return base64url(document)


@dataclass(slots=True)
class SignedRequest:
    """`headers` must be sent exactly as they are, Content-Type included; `nonce` checks the answer."""

    headers: dict[str, str]
    nonce: str


def sign_request(
    ring: PrivateServerKeys,
    *,
    method: str,
    target: str,
    body: bytes,
    content_type: str,
    now: datetime,
    context: str = "",
    nonce: str | None = None,
) -> SignedRequest:
    """Sign a request with the first key of the ring.

    `target` is the request target as it goes on the wire: path and query, percent-encoding untouched.
    `context` is `CallContext.encoded()`. An empty `content_type` or `context` means that no such header is
    sent. A retry is signed anew, with a new nonce; only a test hands one in. Raises RequestCannotBeSigned.
    """
    nonce = nonce or base64url(os.urandom(16))
    require_signable(method, target, content_type)
    if not (CONTEXT.fullmatch(context) and NONCE.fullmatch(nonce)):
        raise RequestCannotBeSigned("the context is base64url of at most 1024 characters, the nonce of 22")
    key = ring.signing_key
    timestamp = str(int(now.timestamp()))
    digest = hashlib.sha256(body).hexdigest()
    path, _, query = target.partition("?")
    lines = (REQUEST_SCHEME, key.key_id, timestamp, nonce, method, path, query, content_type, context, digest)
    headers = {
        "X-Mirror-Key-Id": key.key_id,
        "X-Mirror-Timestamp": timestamp,
        "X-Mirror-Nonce": nonce,
        "X-Mirror-Content-SHA256": digest,
        "X-Mirror-Signature": _signature(key.secret, lines),
    }
    if context:
        headers["X-Mirror-Context"] = context
    if content_type:
        headers["Content-Type"] = content_type
    return SignedRequest(headers, nonce)


@lru_cache(maxsize=64)
def require_signable(method: str, target: str, content_type: str) -> None:
    """Raises RequestCannotBeSigned. Remembered, because a gateway sends one kind of request for ever."""
    if not (METHOD.fullmatch(method) and TARGET.fullmatch(target) and CONTENT_TYPE.fullmatch(content_type)):
        raise RequestCannotBeSigned("method, target and content type must be visible ASCII")


def verify_response(
    ring: PrivateServerKeys,
    *,
    nonce: str,
    status: int,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    now: datetime,
) -> None:
    """Prove that a holder of a live key gave this answer to the request with this nonce.

    `headers` are pairs, not a mapping, so that a header sent twice is seen. Raises ResponseNotSigned when there is no
    signature at all (the caller's setting says whether that is allowed), else another ResponseNotTrusted.
    """
    found: dict[str, str] = {}
    repeated = False
    for name, value in headers:
        name = name.lower()  # noqa: PLW2901
        if name in COVERED_HEADERS:
            repeated |= name in found
            found[name] = value
    content_type = found.pop("content-type", "")
    if not found:
        raise ResponseNotSigned
    if repeated or len(found) < len(SIGNATURE_HEADERS):
        raise ResponseNotTrusted("response_signature_malformed")
    key_id, timestamp, signature = (found[name] for name in SIGNATURE_HEADERS)
    well_formed = KEY_ID.fullmatch(key_id) and TIMESTAMP.fullmatch(timestamp) and CONTENT_TYPE.fullmatch(content_type)
    presented = version_1_signatures(signature)
    if not well_formed or not presented:
        raise ResponseNotTrusted("response_signature_malformed")
    key = ring.find(key_id)
    if key is None:
        raise ResponseNotTrusted("response_key_unknown")
    if abs(int(now.timestamp()) - int(timestamp)) > CLOCK_TOLERANCE_SECONDS:
        raise ResponseNotTrusted("response_clock_skewed")
    digest = hashlib.sha256(body).hexdigest()
    lines = (RESPONSE_SCHEME, key_id, timestamp, nonce, str(status), content_type, digest)
    expected = _signature(key.secret, lines)
    if not any(hmac.compare_digest(expected, value) for value in presented):
        raise ResponseNotTrusted("response_signature_invalid")


def version_1_signatures(header: str) -> list[str]:
    """The `v1=` values of a signature header, none when it is malformed.

    Other versions may stand beside them.
    """
    if not SIGNATURE.fullmatch(header):
        return []
    values = [value for value in header.split(" ") if value.startswith("v1=")]
    return values if all(VERSION_1_VALUE.fullmatch(value[3:]) for value in values) else []


def _signature(secret: bytes, lines: tuple[str, ...]) -> str:
    return "v1=" + hmac_sha256(secret, "\n".join(lines).encode())

"""The gateway's side of MIRROR-HMAC-SHA256-V1."""

import base64
import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from examples.private_server.mirror_verifier import response_signature
from security.request_signer import (
    CallContext,
    RequestCannotBeSigned,
    ResponseNotSigned,
    ResponseNotTrusted,
    sign_request,
    verify_response,
)
from security.secrets.signing_keys import PrivateServerKeys, SigningKey

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "examples/private_server/vectors.json").read_text(encoding="utf-8")
)
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BODY = b'{"prediction":{"probability":0.5}}'
NONCE = "AAECAwQFBgcICQoLDA0ODw"


def new_key(key_id: str = "k1") -> SigningKey:
    return SigningKey(key_id, secrets.token_bytes(32))


def answer_headers(key: SigningKey, **changed: Any) -> list[tuple[str, str]]:
    """The headers of a good answer to NONCE, or of one that was signed with something changed."""
    fields: dict[str, Any] = {
        "key_id": key.key_id,
        "timestamp": str(int(NOW.timestamp())),
        "nonce": NONCE,
        "status": 200,
        "content_type": "application/json",
        "body": BODY,
    } | changed
    return [
        ("Content-Type", "application/json"),
        ("X-Mirror-Key-Id", key.key_id),
        ("X-Mirror-Timestamp", fields["timestamp"]),
        ("X-Mirror-Signature", response_signature(key.secret, **fields)),
    ]


def check(ring: PrivateServerKeys, headers: list[tuple[str, str]], **changed: Any) -> None:
    answer: dict[str, Any] = {"nonce": NONCE, "status": 200, "body": BODY, "now": NOW} | changed
    verify_response(ring, headers=headers, **answer)


def replaced(headers: list[tuple[str, str]], name: str, value: str) -> list[tuple[str, str]]:
    return [(known, value if known == name else old) for known, old in headers]


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=lambda vector: vector["name"])
def test_a_published_request_vector_is_reproduced(vector: dict[str, str]) -> None:
    signed = sign_request(
        PrivateServerKeys.from_settings(secret=VECTORS["secret"], keys=None),
        method=vector["method"],
        target=vector["target"],
        body=vector["body"].encode(),
        content_type=vector["content_type"],
        context=vector["context"],
        now=datetime.fromtimestamp(int(vector["timestamp"]), UTC),
        nonce=VECTORS["nonce"],
    )
    assert signed.headers["X-Mirror-Signature"] == vector["signature"]
    assert signed.headers["X-Mirror-Content-SHA256"] == vector["body_sha256"]
    assert signed.headers.get("X-Mirror-Context", "") == vector["context"]
    assert signed.headers.get("Content-Type", "") == vector["content_type"]


@pytest.mark.parametrize("vector", VECTORS["responses"], ids=lambda vector: vector["name"])
def test_a_published_response_vector_is_accepted(vector: dict[str, Any]) -> None:
    verify_response(
        PrivateServerKeys.from_settings(secret=VECTORS["secret"], keys=None),
        nonce=VECTORS["nonce"],
        status=vector["status"],
        headers=[
            ("content-type", vector["content_type"]),
            ("x-mirror-key-id", VECTORS["key_id"]),
            ("x-mirror-timestamp", vector["timestamp"]),
            ("x-mirror-signature", vector["signature"]),
        ],
        body=vector["body"].encode(),
        now=datetime.fromtimestamp(int(vector["timestamp"]), UTC),
    )


def test_each_request_gets_its_own_nonce() -> None:
    ring = PrivateServerKeys((new_key(),))
    nonces = {
        sign_request(ring, method="GET", target="/health", body=b"", content_type="", now=NOW).nonce for _ in range(200)
    }
    assert len(nonces) == 200


def test_the_first_key_of_the_ring_signs() -> None:
    ring = PrivateServerKeys((new_key("k2"), new_key("k1")))
    signed = sign_request(ring, method="GET", target="/health", body=b"", content_type="", now=NOW)
    assert signed.headers["X-Mirror-Key-Id"] == "k2"


@pytest.mark.parametrize(
    "field",
    [
        {"method": "GET\nPOST"},
        {"method": "get"},
        {"target": "/predict\r\nX-Tier: pro"},
        {"target": "predict"},
        {"target": "/predict?"},
        {"target": "/caf\u00e9"},
        {"target": "/a b"},
        {"content_type": "text/plain\n"},
        {"content_type": " text/plain"},
        {"context": "e30\n"},
        {"context": "A" * 1025},
        {"nonce": "A" * 21 + "\n"},
    ],
    ids=repr,
)
def test_a_field_that_could_be_read_in_two_ways_is_not_signed(field: dict[str, str]) -> None:
    fields: dict[str, Any] = {"method": "GET", "target": "/predict", "content_type": ""} | field
    with pytest.raises(RequestCannotBeSigned):
        sign_request(PrivateServerKeys((new_key(),)), body=b"", now=NOW, **fields)


def test_the_context_carries_what_the_private_server_may_know() -> None:
    encoded = CallContext("req-1", "user-1", "pro", 29_500, idempotency_key='a"b').encoded()
    assert json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))) == {
        "rid": "req-1",
        "sub": "user-1",
        "tier": "pro",
        "idem": 'a"b',
        "deadline_ms": 29_500,
    }
    assert "=" not in encoded


def test_the_longest_idempotency_key_fits_into_the_context() -> None:
    context = CallContext("0" * 36, "1" * 36, "enterprise", 30_000, idempotency_key='"' * 255).encoded()
    sign_request(
        PrivateServerKeys((new_key(),)), method="POST", target="/p", body=b"", content_type="", now=NOW, context=context
    )


def test_a_signed_answer_is_accepted() -> None:
    key = new_key()
    check(PrivateServerKeys((key,)), answer_headers(key))


def test_an_answer_signed_with_the_older_live_key_is_accepted() -> None:
    older = new_key("k1")
    check(PrivateServerKeys((new_key("k2"), older)), answer_headers(older))


def test_an_answer_with_a_second_version_of_the_signature_is_accepted() -> None:
    key = new_key()
    headers = answer_headers(key)
    both = "v2=" + "f" * 96 + " " + dict(headers)["X-Mirror-Signature"]
    check(PrivateServerKeys((key,)), replaced(headers, "X-Mirror-Signature", both))


def test_an_answer_without_any_signature_header_is_not_signed() -> None:
    with pytest.raises(ResponseNotSigned):
        check(PrivateServerKeys((new_key(),)), [("Content-Type", "application/json")])


@pytest.mark.parametrize("name", ["X-Mirror-Key-Id", "X-Mirror-Timestamp", "X-Mirror-Signature"])
def test_an_answer_that_lacks_one_signature_header_is_malformed(name: str) -> None:
    key = new_key()
    with pytest.raises(ResponseNotTrusted, match="response_signature_malformed"):
        check(PrivateServerKeys((key,)), [pair for pair in answer_headers(key) if pair[0] != name])


@pytest.mark.parametrize("name", ["Content-Type", "X-Mirror-Key-Id", "X-Mirror-Timestamp", "X-Mirror-Signature"])
def test_an_answer_with_a_header_sent_twice_is_malformed(name: str) -> None:
    key = new_key()
    headers = answer_headers(key)
    with pytest.raises(ResponseNotTrusted, match="response_signature_malformed"):
        check(PrivateServerKeys((key,)), [*headers, (name.lower(), dict(headers)[name])])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Mirror-Signature", "v1=" + "A" * 64),
        ("X-Mirror-Signature", "v1=" + "a" * 63),
        ("X-Mirror-Signature", "v0=" + "a" * 64),
        ("X-Mirror-Signature", "v2=" + "a" * 64),
        ("X-Mirror-Signature", "a" * 64),
        ("X-Mirror-Timestamp", "01795414147"),
        ("X-Mirror-Timestamp", "1e9"),
        ("X-Mirror-Timestamp", "-1"),
        ("X-Mirror-Timestamp", "9" * 5000),
        ("X-Mirror-Timestamp", "\u0661\u0662\u0663"),
        ("X-Mirror-Key-Id", "k 1"),
        ("X-Mirror-Key-Id", "k" * 65),
        ("Content-Type", "application/json\n"),
    ],
)
def test_an_answer_with_a_misshapen_header_is_malformed(name: str, value: str) -> None:
    key = new_key()
    with pytest.raises(ResponseNotTrusted, match="response_signature_malformed"):
        check(PrivateServerKeys((key,)), replaced(answer_headers(key), name, value))


def test_an_answer_signed_with_a_removed_key_is_refused() -> None:
    with pytest.raises(ResponseNotTrusted, match="response_key_unknown"):
        check(PrivateServerKeys((new_key("k2"),)), answer_headers(new_key("k1")))


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_answer_from_another_time_is_refused(seconds: int) -> None:
    key = new_key()
    with pytest.raises(ResponseNotTrusted, match="response_clock_skewed"):
        check(PrivateServerKeys((key,)), answer_headers(key), now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [-300, 300])
def test_an_answer_within_the_clock_tolerance_is_accepted(seconds: int) -> None:
    key = new_key()
    check(PrivateServerKeys((key,)), answer_headers(key), now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "A" * 22},
        {"status": 201},
        {"body": BODY[:-1]},
        {"body": BODY.replace(b"0.5", b"0.9")},
        {"body": b""},
    ],
    ids=repr,
)
def test_an_answer_that_was_changed_on_its_way_is_refused(changed: dict[str, Any]) -> None:
    key = new_key()
    with pytest.raises(ResponseNotTrusted, match="response_signature_invalid"):
        check(PrivateServerKeys((key,)), answer_headers(key), **changed)


@pytest.mark.parametrize(("name", "value"), [("Content-Type", "text/html"), ("X-Mirror-Timestamp", "1795435199")])
def test_an_answer_with_a_changed_header_is_refused(name: str, value: str) -> None:
    key = new_key()
    with pytest.raises(ResponseNotTrusted, match="response_signature_invalid"):
        check(PrivateServerKeys((key,)), replaced(answer_headers(key), name, value))


def test_an_answer_signed_by_mallory_under_our_key_id_is_refused() -> None:
    with pytest.raises(ResponseNotTrusted, match="response_signature_invalid"):
        check(PrivateServerKeys((new_key(),)), answer_headers(new_key()))


def test_a_request_signature_sent_back_as_the_answer_is_refused() -> None:
    ring = PrivateServerKeys((new_key(),))
    signed = sign_request(ring, method="POST", target="/predict", body=BODY, content_type="application/json", now=NOW)
    with pytest.raises(ResponseNotTrusted, match="response_signature_invalid"):
        verify_response(ring, nonce=signed.nonce, status=200, headers=signed.headers.items(), body=BODY, now=NOW)

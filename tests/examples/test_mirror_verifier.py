"""The verifier that authors of private servers copy, against requests that the gateway's signer made."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.private_server.mirror_verifier import (
    Keys,
    MemoryNonceStore,
    RequestRefused,
    RequestVerifier,
    VerifiedRequest,
    read_keys,
    request_signature,
)
from security.request_signer import CallContext, verify_response
from security.secrets.signing_keys import PrivateServerKeys, SigningKey
from tests.examples.message import NOW, RING, SECRET, HandClock, Message, altered, signed_message


def new_verifier(
    *, secrets_by_id: dict[str, bytes] | None = None, clock: HandClock | None = None, **settings: Any
) -> RequestVerifier:
    clock = clock or HandClock()
    keys = Keys(secrets_by_id or {"k1": SECRET})
    return RequestVerifier(keys, MemoryNonceStore(clock=clock), clock=clock, **settings)


def verify(verifier: RequestVerifier, message: Message) -> VerifiedRequest:
    return verifier.verify(message.method, message.target, message.headers, message.body)


def refusal(verifier: RequestVerifier, message: Message) -> tuple[int, str]:
    with pytest.raises(RequestRefused) as refused:
        verify(verifier, message)
    return refused.value.status, refused.value.code


def test_a_request_of_the_gateway_is_accepted_with_its_context() -> None:
    verified = verify(new_verifier(), signed_message())
    assert verified.key_id == "k1"
    assert verified.context_members() == {
        "rid": "req-1",
        "sub": "user-1",
        "tier": "pro",
        "idem": None,
        "deadline_ms": 30_000,
    }


# Each of the ten signed lines, changed after signing. Line 1 is sent nowhere: it is changed by signing anew.


def test_line_1_another_scheme_is_refused() -> None:
    message = signed_message()
    path, _, query = message.target.partition("?")
    lines = ("MIRROR-HMAC-SHA256-V2", "k1", str(NOW), message.header("X-Mirror-Nonce"), "POST", path, query)
    tail = ("application/json", message.header("X-Mirror-Context"), message.header("X-Mirror-Content-SHA256"))
    other = hmac.digest(SECRET, "\n".join((*lines, *tail)).encode(), "sha256").hex()
    assert refusal(new_verifier(), message.with_header("X-Mirror-Signature", f"v1={other}")) == (
        401,
        "signature_invalid",
    )


def test_line_2_another_key_id_is_refused() -> None:
    verifier = new_verifier(secrets_by_id={"k1": SECRET, "k2": SECRET})
    assert refusal(verifier, signed_message().with_header("X-Mirror-Key-Id", "k2")) == (
        401,
        "signature_invalid",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Mirror-Timestamp", str(NOW + 1)),
        ("X-Mirror-Nonce", "A" * 22),
        ("Content-Type", "text/plain"),
        ("Content-Type", None),
        ("X-Mirror-Context", CallContext("req-1", "user-1", "enterprise", 30_000).encoded()),
        ("X-Mirror-Context", None),
    ],
    ids=["line 3", "line 4", "line 8", "line 8 gone", "line 9", "line 9 gone"],
)
def test_a_changed_header_is_refused(name: str, value: str | None) -> None:
    message = signed_message().with_header(name, value)
    assert refusal(new_verifier(), message) == (401, "signature_invalid")


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PUT"},
        {"target": "/predicT?trace=1"},
        {"target": "/predict%3Ftrace=1"},
        {"target": "/%70redict?trace=1"},
        {"target": "/predict?trace=2"},
        {"target": "/predict"},
        {"target": "/predict?trace=1&tier=pro"},
    ],
    ids=lambda changed: str(next(iter(changed.values()))),
)
def test_lines_5_to_7_a_changed_request_line_is_refused(changed: dict[str, Any]) -> None:
    assert refusal(new_verifier(), replace(signed_message(), **changed)) == (401, "signature_invalid")


def test_line_10_a_changed_body_is_refused() -> None:
    message = replace(signed_message(), body=b'{"goal":"learn to sink"}')
    assert refusal(new_verifier(), message) == (401, "digest_mismatch")


def test_line_10_a_changed_body_with_its_own_digest_is_refused() -> None:
    body = b'{"goal":"learn to sink"}'
    message = replace(signed_message(), body=body)
    message = message.with_header("X-Mirror-Content-SHA256", hashlib.sha256(body).hexdigest())
    assert refusal(new_verifier(), message) == (401, "signature_invalid")


REQUIRED = [
    "X-Mirror-Key-Id",
    "X-Mirror-Timestamp",
    "X-Mirror-Nonce",
    "X-Mirror-Content-SHA256",
    "X-Mirror-Signature",
]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_header_is_refused(name: str) -> None:
    assert refusal(new_verifier(), signed_message().with_header(name, None)) == (401, "signature_missing")


@pytest.mark.parametrize("name", [*REQUIRED, "X-Mirror-Context", "Content-Type"])
def test_a_header_that_was_sent_twice_is_refused(name: str) -> None:
    message = signed_message()
    doubled = replace(message, headers=(*message.headers, (name.upper(), message.header(name))))
    assert refusal(new_verifier(), doubled) == (401, "signature_malformed")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Mirror-Timestamp", "0" + str(NOW)),
        ("X-Mirror-Timestamp", "1e9"),
        ("X-Mirror-Timestamp", f"-{NOW}"),
        ("X-Mirror-Timestamp", f"+{NOW}"),
        ("X-Mirror-Timestamp", f"{NOW}.0"),
        ("X-Mirror-Timestamp", f"{NOW}\n"),
        ("X-Mirror-Timestamp", ""),
        ("X-Mirror-Timestamp", "9" * 5000),
        ("X-Mirror-Timestamp", "\u0661" * 10),
        ("X-Mirror-Key-Id", "k/1"),
        ("X-Mirror-Key-Id", "k" * 65),
        ("X-Mirror-Nonce", "A" * 21),
        ("X-Mirror-Nonce", "A" * 21 + "="),
        ("X-Mirror-Nonce", "A" * 22 + "\n"),
        ("X-Mirror-Content-SHA256", "A" * 64),
        ("X-Mirror-Context", "e30="),
        ("X-Mirror-Context", "A" * 1025),
        ("Content-Type", "application/json\r\nX-Evil: 1"),
        ("Content-Type", "application/caf\u00e9"),
        ("X-Mirror-Signature", "v0=" + "a" * 64),
        ("X-Mirror-Signature", "v2=" + "a" * 64),
        ("X-Mirror-Signature", "v1=" + "a" * 65),
        ("X-Mirror-Signature", "v1=" + "a" * 64 + "  v1=" + "a" * 64),
        ("X-Mirror-Signature", " ".join(["v1=" + "a" * 64] * 9)),
    ],
)
def test_a_misshapen_header_is_refused(name: str, value: str) -> None:
    assert refusal(new_verifier(), signed_message().with_header(name, value)) == (401, "signature_malformed")


def test_a_signature_in_upper_case_is_refused() -> None:
    message = signed_message()
    upper = "v1=" + message.header("X-Mirror-Signature")[3:].upper()
    assert refusal(new_verifier(), message.with_header("X-Mirror-Signature", upper)) == (
        401,
        "signature_malformed",
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "post"},
        {"target": "http://mallory/predict"},
        {"target": "/predict?"},
        {"target": "/a b"},
        {"target": "*"},
    ],
    ids=lambda changed: str(next(iter(changed.values()))),
)
def test_a_misshapen_request_line_is_refused(changed: dict[str, Any]) -> None:
    assert refusal(new_verifier(), replace(signed_message(), **changed)) == (401, "signature_malformed")


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_request_from_another_time_is_refused_with_the_servers_clock(seconds: int) -> None:
    with pytest.raises(RequestRefused) as refused:
        verify(new_verifier(), signed_message(at=NOW + seconds))
    assert (refused.value.status, refused.value.code, refused.value.server_time) == (401, "clock_skew", NOW)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_request_within_the_clock_tolerance_is_accepted(seconds: int) -> None:
    verify(new_verifier(), signed_message(at=NOW + seconds))


def test_a_replayed_request_is_refused() -> None:
    verifier, message = new_verifier(), signed_message()
    verify(verifier, message)
    assert refusal(verifier, message) == (401, "replayed")


def test_a_request_can_never_be_replayed_even_when_it_was_signed_by_a_fast_clock() -> None:
    clock = HandClock()
    verifier, message = new_verifier(clock=clock), signed_message(at=NOW + 300)
    verify(verifier, message)
    for later in (1.0, 300.0, 599.9, 600.0, 600.99):
        clock.now = NOW + later
        assert refusal(verifier, message) == (401, "replayed")
    clock.now = NOW + 601
    assert refusal(verifier, message) == (401, "clock_skew")


def test_an_unknown_key_is_refused() -> None:
    message = signed_message(ring=PrivateServerKeys((SigningKey("k9", secrets.token_bytes(32)),)))
    assert refusal(new_verifier(), message) == (401, "key_unknown")


def test_both_keys_are_accepted_while_they_are_exchanged_and_the_old_one_is_refused_after() -> None:
    new_secret = secrets.token_bytes(32)
    by_old, by_new = signed_message(), signed_message(ring=PrivateServerKeys((SigningKey("k2", new_secret),)))
    during = new_verifier(secrets_by_id={"k1": SECRET, "k2": new_secret})
    verify(during, by_old)
    verify(during, by_new)
    assert refusal(new_verifier(secrets_by_id={"k2": new_secret}), signed_message()) == (401, "key_unknown")


def test_a_signature_beside_one_of_another_version_is_accepted() -> None:
    message = signed_message()
    both = message.header("X-Mirror-Signature") + " v2=" + "A" * 86
    verify(new_verifier(), message.with_header("X-Mirror-Signature", both))


def test_a_body_over_the_limit_is_refused() -> None:
    assert refusal(new_verifier(body_limit=10), signed_message()) == (413, "body_too_large")


@dataclass
class RecordingStore:
    keys: list[str] = field(default_factory=list)

    def remember(self, key: str, seconds: int) -> bool:
        self.keys.append(f"{key} for {seconds}")
        return True


class UnreachableStore:
    def remember(self, key: str, seconds: int) -> bool:
        raise ConnectionError


def test_a_nonce_is_remembered_for_twice_the_tolerance_and_one_second() -> None:
    store, message = RecordingStore(), signed_message()
    verify(RequestVerifier(Keys({"k1": SECRET}), store, tolerance_seconds=60, clock=HandClock()), message)
    assert store.keys == [f"mirror:nonce:k1:{message.header('X-Mirror-Nonce')} for 121"]


def test_a_stranger_cannot_fill_the_nonce_store() -> None:
    store = RecordingStore()
    verifier = RequestVerifier(Keys({"k1": SECRET}), store, clock=HandClock())
    refusal(verifier, signed_message().with_header("X-Mirror-Signature", "v1=" + "0" * 64))
    assert store.keys == []


def test_an_unreachable_nonce_store_refuses_with_503() -> None:
    verifier = RequestVerifier(Keys({"k1": SECRET}), UnreachableStore(), clock=HandClock())
    assert refusal(verifier, signed_message()) == (503, "nonce_store_unavailable")


def test_a_full_nonce_store_refuses_until_old_nonces_expire() -> None:
    clock = HandClock()
    store = MemoryNonceStore(capacity=2, clock=clock)
    verifier = RequestVerifier(Keys({"k1": SECRET}), store, clock=clock)
    verify(verifier, signed_message())
    verify(verifier, signed_message())
    assert refusal(verifier, signed_message()) == (503, "nonce_store_unavailable")
    clock.now = NOW + 601
    verify(verifier, signed_message(at=NOW + 601))


@pytest.mark.parametrize("seconds", [0, 29, 301])
def test_a_tolerance_that_is_too_small_or_too_large_cannot_be_set(seconds: int) -> None:
    with pytest.raises(ValueError, match="30 to 300"):
        new_verifier(tolerance_seconds=seconds)


def test_the_verifiers_answer_is_accepted_by_the_gateway() -> None:
    verifier, message, body = new_verifier(), signed_message(), '{"caf\u00e9":1}'.encode()
    headers = verifier.sign_response(verify(verifier, message), 200, "application/json", body)
    verify_response(
        RING,
        nonce=message.header("X-Mirror-Nonce"),
        status=200,
        headers=headers.items(),
        body=body,
        now=datetime.fromtimestamp(NOW, UTC),
    )


def test_all_refusals_look_alike_but_for_their_code() -> None:
    refused = RequestRefused(401, "replayed")
    assert refused.body() == b'{"title": "The request was refused", "status": 401, "code": "replayed"}'
    assert refused.headers()["WWW-Authenticate"] == "MIRROR-HMAC-SHA256-V1"


@pytest.mark.parametrize("context", ["e30x", "W10", "_w"], ids=["cut", "an array", "not UTF-8"])
def test_a_signed_context_that_is_no_object_is_refused_when_it_is_read(context: str) -> None:
    with pytest.raises(RequestRefused, match="context_malformed"):
        VerifiedRequest("k1", "A" * 22, NOW, context).context_members()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PRIVATE_API_SECRET": "short"},
        {"PRIVATE_API_SECRET": "msk_***"},
        {"PRIVATE_API_KEYS": "k1:" + "a" * 40},
        {"PRIVATE_API_KEYS": "k1"},
    ],
    ids=str,
)
def test_an_environment_without_good_keys_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"PRIVATE_API|msk_|32 bytes"):
        read_keys(environment)


def test_both_sides_read_the_same_keys_from_the_same_settings() -> None:
    settings_list = f"k2:msk_{'A' * 44},k1:msk_{'B' * 44}"
    ring = PrivateServerKeys.from_settings(secret=None, keys=settings_list)
    assert read_keys({"PRIVATE_API_KEYS": settings_list}).secrets == {key.key_id: key.secret for key in ring.keys}


def test_the_keys_never_show_in_a_log_or_an_error_report() -> None:
    assert repr(SECRET) not in repr(Keys({"k1": SECRET}))


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 100_000), flip=st.integers(0, 7))
def test_no_single_changed_bit_is_accepted(place: int, flip: int) -> None:
    message = altered(signed_message(), place, flip)
    assert refusal(new_verifier(), message)[0] == 401


def test_the_verifiers_own_signature_function_equals_the_signers() -> None:
    message = signed_message()
    assert message.header("X-Mirror-Signature") == request_signature(
        SECRET,
        target=message.target,
        key_id="k1",
        timestamp=str(NOW),
        nonce=message.header("X-Mirror-Nonce"),
        method="POST",
        content_type="application/json",
        context=message.header("X-Mirror-Context"),
        digest=hashlib.sha256(message.body).hexdigest(),
    )

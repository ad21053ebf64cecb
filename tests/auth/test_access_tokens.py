"""What passes as an access token, and what does not."""

import base64
import json
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest

from auth.tokens.access_keys import AccessKeyRing, SigningKey
from auth.tokens.access_token import AccessTokens
from security.edge.problems import InvalidToken
from tests.auth.accounts_app import Accounts, MovableClock, bearer
from tests.auth.conftest import MakeAccounts

SECRET = secrets.token_bytes(32)
KEY = SigningKey("k1", SECRET)
SOME_ID = "0192f0c1-7d7e-7a51-8d1b-3f6a2f1e9c55"
ISSUER = "https://api.example.com"
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def tokens(clock: MovableClock) -> AccessTokens:
    return access_tokens(clock, KEY)


def access_tokens(clock: MovableClock, *keys: SigningKey) -> AccessTokens:
    return AccessTokens(
        AccessKeyRing(keys), issuer=ISSUER, audience="mirroros", lifetime=timedelta(minutes=15), clock=clock
    )


def issue(tokens: AccessTokens, clock: MovableClock) -> str:
    return tokens.issue(
        user_id=uuid.uuid4(), session_id=uuid.uuid4(), auth_time=clock.now, not_after=clock.now + timedelta(days=1)
    ).text


def good_claims(clock: MovableClock) -> dict[str, Any]:
    now = int(clock.now.timestamp())
    return {
        "iss": ISSUER,
        "aud": "mirroros",
        "sub": str(uuid.uuid4()),
        "sid": str(uuid.uuid4()),
        "jti": str(uuid.uuid4()),
        "iat": now,
        "nbf": now,
        "exp": now + 900,
        "type": "access",
        "ver": 1,
        "auth_time": now,
    }


def signed(claims: Any, header: dict[str, Any] | None = None, secret: bytes = SECRET) -> str:
    """A token with any header and payload, correctly signed with HS256."""
    parts = [header or {"alg": "HS256", "typ": "at+jwt", "kid": "k1"}, claims]
    message = ".".join(segment(json.dumps(part).encode()) for part in parts)
    return (
        message
        + "."
        + segment(jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(message.encode(), secret))
    )


def segment(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def refuse(tokens: AccessTokens, token: str) -> None:
    with pytest.raises(InvalidToken):
        tokens.verify(token)


def test_what_was_issued_verifies_and_names_user_and_session(tokens: AccessTokens, clock: MovableClock) -> None:
    user_id, session_id = uuid.uuid4(), uuid.uuid4()
    issued = tokens.issue(
        user_id=user_id, session_id=session_id, auth_time=clock.now, not_after=clock.now + timedelta(days=1)
    )
    for _ in range(2):
        claims = tokens.verify(issued.text)
        assert (claims.user_id, claims.session_id) == (user_id, session_id)
    assert jwt.get_unverified_header(issued.text) == {"alg": "HS256", "typ": "at+jwt", "kid": "k1"}


@pytest.mark.parametrize("scope", [None, "chat"])
def test_a_token_opens_everything_or_what_its_scope_says(
    tokens: AccessTokens, clock: MovableClock, scope: str | None
) -> None:
    issued = tokens.issue(
        user_id=uuid.uuid4(),
        session_id=uuid.uuid4(),
        auth_time=clock.now,
        not_after=clock.now + timedelta(days=1),
        scope=scope,
    )
    assert tokens.verify(issued.text).scope == scope


def test_the_token_made_by_hand_in_these_tests_is_good(tokens: AccessTokens, clock: MovableClock) -> None:
    tokens.verify(signed(good_claims(clock)))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
def test_an_unsigned_token_is_refused(tokens: AccessTokens, clock: MovableClock, algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "at+jwt", "kid": "k1"}
    message = ".".join(segment(json.dumps(part).encode()) for part in (header, good_claims(clock)))
    refuse(tokens, message + ".")
    refuse(tokens, signed(good_claims(clock), header))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_under_a_known_key_is_refused(
    tokens: AccessTokens, clock: MovableClock, algorithm: str
) -> None:
    refuse(tokens, jwt.encode(good_claims(clock), SECRET * 2, algorithm, {"typ": "at+jwt", "kid": "k1"}))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "HS384", "", 7, None])
def test_the_header_cannot_choose_the_algorithm(tokens: AccessTokens, clock: MovableClock, algorithm: Any) -> None:
    refuse(tokens, signed(good_claims(clock), {"alg": algorithm, "typ": "at+jwt", "kid": "k1"}))


@pytest.mark.parametrize(
    "key_id", ["../../dev/null", "' OR 1=1--", "k" * 2000, "k\0", 1, None, ["k1"], {"k1": 1}, "unknown", ""]
)
def test_a_key_id_is_only_ever_looked_up_in_the_ring(tokens: AccessTokens, clock: MovableClock, key_id: Any) -> None:
    refuse(tokens, signed(good_claims(clock), {"alg": "HS256", "typ": "at+jwt", "kid": key_id}))


def test_a_missing_key_id_is_refused(tokens: AccessTokens, clock: MovableClock) -> None:
    refuse(tokens, signed(good_claims(clock), {"alg": "HS256", "typ": "at+jwt"}))


@pytest.mark.parametrize(
    "extra",
    [
        {"jku": "http://127.0.0.1/keys"},
        {"x5u": "http://127.0.0.1/x"},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"x5c": ["AA"]},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
    ],
)
def test_a_header_that_we_would_not_write_is_refused(
    tokens: AccessTokens, clock: MovableClock, extra: dict[str, Any]
) -> None:
    refuse(tokens, signed(good_claims(clock), {"alg": "HS256", "typ": "at+jwt", "kid": "k1", **extra}))


@pytest.mark.parametrize("name", [None, "JWT", "jwt", "rt+jwt", ""])
def test_another_type_in_the_header_is_refused(tokens: AccessTokens, clock: MovableClock, name: str | None) -> None:
    header = {"alg": "HS256", "kid": "k1"} | ({} if name is None else {"typ": name})
    refuse(tokens, signed(good_claims(clock), header))


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "type", "ver", "auth_time"])
def test_no_claim_may_be_missing(tokens: AccessTokens, clock: MovableClock, name: str) -> None:
    claims = good_claims(clock)
    del claims[name]
    refuse(tokens, signed(claims))
    refuse(tokens, signed({**claims, name: None}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aud", "someone-else"),
        ("aud", ["mirroros", "someone-else"]),
        ("aud", ["mirroros"]),
        ("aud", ""),
        ("iss", "https://evil.example.com"),
        ("iss", [ISSUER]),
        ("type", "refresh"),
        ("type", "reset"),
        ("type", "email"),
        ("type", ["access"]),
        ("ver", 0),
        ("ver", 2),
        ("ver", True),
        ("ver", "1"),
        ("sub", "alice"),
        ("sub", 7),
        ("sub", SOME_ID + "\0"),
        ("sub", "{" + SOME_ID + "}"),
        ("sub", SOME_ID.replace("-", "")),
        ("sid", "x"),
        ("sid", [SOME_ID]),
        ("jti", ""),
        ("exp", 10**30),
        ("exp", -1),
        ("exp", 1.5e300),
        ("exp", float("nan")),
        ("exp", float("inf")),
        ("exp", True),
        ("exp", "soon"),
        ("nbf", "1"),
        ("iat", 1.5),
        ("auth_time", "now"),
        ("act", None),
        ("act", SOME_ID),
        ("act", {}),
        ("act", {"sub": "alice"}),
        ("act", {"sub": 7}),
        ("act", {"sub": SOME_ID, "act": {"sub": SOME_ID}}),
        ("act", [{"sub": SOME_ID}]),
        ("scope", None),
        ("scope", ["chat"]),
    ],
)
def test_a_claim_that_we_would_not_write_is_refused(
    tokens: AccessTokens, clock: MovableClock, name: str, value: Any
) -> None:
    refuse(tokens, signed({**good_claims(clock), name: value}))


def test_a_token_that_lives_too_long_is_refused(tokens: AccessTokens, clock: MovableClock) -> None:
    claims = good_claims(clock)
    refuse(tokens, signed({**claims, "exp": claims["iat"] + 86_401}))
    tokens.verify(signed({**claims, "exp": claims["iat"] + 86_400}))


def test_an_expired_token_is_refused_even_when_it_verified_before(tokens: AccessTokens, clock: MovableClock) -> None:
    token = issue(tokens, clock)
    tokens.verify(token)
    clock.advance(seconds=900 + 28)
    tokens.verify(token)
    clock.advance(seconds=3)
    refuse(tokens, token)


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_from_the_future_is_refused(tokens: AccessTokens, clock: MovableClock, name: str) -> None:
    now = int(clock.now.timestamp())
    refuse(tokens, signed({**good_claims(clock), name: now + 32}))
    tokens.verify(signed({**good_claims(clock), name: now + 29}))


def test_an_edited_payload_is_refused(tokens: AccessTokens, clock: MovableClock) -> None:
    header, payload, signature = issue(tokens, clock).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    for edit in ({"tier": "enterprise"}, {"role": "admin"}, {"sub": str(uuid.uuid4())}):
        edited = segment(json.dumps({**claims, **edit}).encode())
        refuse(tokens, f"{header}.{edited}.{signature}")


def test_a_signature_of_another_key_is_refused(tokens: AccessTokens, clock: MovableClock) -> None:
    refuse(tokens, signed(good_claims(clock), secret=secrets.token_bytes(32)))


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "....", "\xe9.\xe9.\xe9", "e30.e30.", "x" * 4096, "null.null.null"]
)
def test_garbage_is_refused(tokens: AccessTokens, token: str) -> None:
    refuse(tokens, token)


def test_a_deep_payload_or_one_that_is_no_object_is_refused(tokens: AccessTokens) -> None:
    payloads: list[Any] = [[], "text", 7, None]
    for payload in payloads:
        refuse(tokens, signed(payload))
    deep = b"[" * 1200 + b"]" * 1200
    refuse(tokens, ".".join([segment(deep), segment(deep), ""]))
    header = segment(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": "k1"}).encode())
    message = f"{header}.{segment(deep)}"
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(message.encode(), SECRET)
    refuse(tokens, f"{message}.{segment(mac)}")


def test_a_token_of_a_megabyte_is_refused_before_it_is_decoded(tokens: AccessTokens) -> None:
    started = time.process_time()
    refuse(tokens, "e" * 2**20 + ".e30.e30")
    assert time.process_time() - started < 0.05


def test_an_old_key_is_good_while_it_is_in_the_ring(clock: MovableClock) -> None:
    new = SigningKey("k2", secrets.token_bytes(32))
    token = issue(access_tokens(clock, KEY), clock)
    rotated = access_tokens(clock, new, KEY)
    rotated.verify(token)
    assert jwt.get_unverified_header(issue(rotated, clock))["kid"] == "k2"
    refuse(access_tokens(clock, new), token)


def test_the_verified_tokens_that_are_remembered_are_bounded(clock: MovableClock) -> None:
    tokens = AccessTokens(
        AccessKeyRing([KEY]),
        issuer=ISSUER,
        audience="mirroros",
        lifetime=timedelta(minutes=15),
        clock=clock,
        remembered=3,
    )
    for _ in range(10):
        tokens.verify(issue(tokens, clock))
    assert len(tokens._verified) == 3


def test_a_malformed_authorization_header_is_unauthorised(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    headers = ["", "Bearer", "Bearer ", f"Bearer {token} x", f"Bearer {token},{token}", f"Bearer{token}", token]
    headers += [f"Basic {token}", "Bearer \xe9", "Bearer tok_x", f"Bearer a, Bearer {token}", "Bearer\t" + token]
    for header in headers:
        answer = accounts.client.get("/api/auth/profile", headers={"Authorization": header})
        assert answer.status_code == 401, header
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="mirroros"')


def test_a_credential_of_another_scheme_is_told_the_right_one(accounts: Accounts) -> None:
    for guarded in ("/api/auth/profile", "/api/auth/tokens"):
        answer = accounts.client.get(guarded, headers={"Authorization": "Basic YWxpY2U6YQ=="}).get_json()
        assert (answer["error"], "Bearer" in answer["detail"]) == ("not_signed_in", True)


def test_the_scheme_is_read_in_any_case(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    for scheme in ("bearer", "BEARER", "Bearer"):
        answer = accounts.client.get("/api/auth/profile", headers={"Authorization": f"{scheme} {token}"})
        assert answer.status_code == 200


def test_every_bad_token_gets_one_answer(accounts: Accounts) -> None:
    signed_in = accounts.register()
    texts = [signed_in["refresh_token"], "a.b.c", signed_in["access_token"][:-2], "tok_" + "x" * 49]
    answers = [
        accounts.client.get("/api/auth/profile", headers={**bearer(text), "X-Request-ID": "same-for-all"})
        for text in texts
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1
    assert answers[0].headers["WWW-Authenticate"] == 'Bearer realm="mirroros", error="invalid_token"'


def test_an_application_with_another_key_does_not_accept_the_token(
    accounts: Accounts, make_accounts: MakeAccounts
) -> None:
    token = accounts.register()["access_token"]
    assert make_accounts().profile(token).status_code == 401


def test_the_token_of_a_user_who_was_deleted_or_switched_off_is_refused(accounts: Accounts) -> None:
    alice = accounts.register("alice@example.com")["access_token"]
    bob = accounts.register("bob@example.com")["access_token"]
    accounts.query("UPDATE users SET is_active = false WHERE email_key = 'alice@example.com'")
    accounts.query("DELETE FROM users WHERE email_key = 'bob@example.com'")
    assert accounts.profile(alice).status_code == 401
    assert accounts.profile(bob).status_code == 401

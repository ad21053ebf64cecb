"""The keys of access tokens: what a ring may be made of, and how it is published and changed."""

import json
import re
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask

from auth.tokens.access_keys import AccessKeyRing, SigningKey, UnusableSigningKey, new_key
from auth.tokens.access_token import AccessTokens
from auth.tokens.commands import key_commands
from auth.tokens.jwks_routes import jwks_routes
from database.base import utc_now
from security.edge.problems import InvalidToken

KEY = new_key("k1", "HS256")
CURVED = new_key("k2", "ES256")


def tokens(*keys: SigningKey) -> AccessTokens:
    return AccessTokens(
        AccessKeyRing(keys),
        issuer="https://api.example.com",
        audience="mirroros",
        lifetime=timedelta(minutes=15),
        clock=utc_now,
    )


def issued(by: AccessTokens) -> str:
    now = datetime.now(UTC)
    return by.issue(
        user_id=uuid.uuid4(), session_id=uuid.uuid4(), auth_time=now, not_after=now + timedelta(days=1)
    ).text


@pytest.mark.parametrize("keys", [[], [KEY, new_key("k1", "HS256")], [KEY, new_key("k1", "ES256")]])
def test_a_ring_has_keys_with_different_ids(keys: list[SigningKey]) -> None:
    with pytest.raises(UnusableSigningKey):
        AccessKeyRing(keys)


@pytest.mark.parametrize(
    ("key_id", "material", "algorithm"),
    [
        ("k1", b"short", "HS256"),
        ("../k1", secrets.token_bytes(32), "HS256"),
        ("k1", secrets.token_bytes(32), "ES256"),
        ("k1", ec.generate_private_key(ec.SECP256R1()), "HS256"),
        ("k1", ec.generate_private_key(ec.SECP384R1()), "ES256"),
    ],
    ids=["short", "id is a path", "secret for ES256", "private key for HS256", "another curve"],
)
def test_a_key_fits_its_algorithm(key_id: str, material: Any, algorithm: Any) -> None:
    with pytest.raises(UnusableSigningKey):
        SigningKey(key_id, material, algorithm)


def test_a_ring_survives_being_written_and_read() -> None:
    read = AccessKeyRing.read(AccessKeyRing([KEY, CURVED]).text())
    assert [(key.key_id, key.algorithm) for key in read.keys] == [("k1", "HS256"), ("k2", "ES256")]
    assert read.keys[0] == KEY
    tokens(CURVED).verify(issued(tokens(read.keys[1])))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k1",
        "k1:HS256:",
        "k1:none:AAAA",
        "k1:RS256:" + "A" * 64,
        "k1:HS256:!!!",
        "k1:HS256:AAAA",
        "k1:ES256:" + "A" * 64,
        pytest.param(f"{KEY.text()},", id="empty entry"),
        pytest.param(f"{KEY.text()},{KEY.text()}", id="one id twice"),
    ],
)
def test_a_text_that_is_no_ring_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(UnusableSigningKey) as refusal:
        AccessKeyRing.read(text)
    assert "AAAA" not in str(refusal.value)


def test_a_key_is_not_shown_by_its_representation() -> None:
    assert repr(KEY) == "SigningKey('k1', HS256)"


def test_a_token_signed_with_the_curve_verifies() -> None:
    token = issued(tokens(CURVED, KEY))
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "at+jwt", "kid": "k2"}
    tokens(KEY, CURVED).verify(token)
    with pytest.raises(InvalidToken):
        tokens(KEY).verify(token)


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_public_key_is_no_secret_for_hs256(encoding: Encoding) -> None:
    assert isinstance(CURVED.verifier, ec.EllipticCurvePublicKey)
    public = CURVED.verifier.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(issued(tokens(CURVED)), options={"verify_signature": False})
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    for algorithm in ("HS256", "ES256"):
        head = {"alg": algorithm, "typ": "at+jwt", "kid": "k2"}
        parts = [jwt.utils.base64url_encode(json.dumps(part).encode()) for part in (head, claims)]
        message = b".".join(parts)
        forged = message + b"." + jwt.utils.base64url_encode(mac.sign(message, public))
        with pytest.raises(InvalidToken):
            tokens(CURVED, KEY).verify(forged.decode())


def published(*keys: SigningKey) -> Any:
    app = Flask("keys")
    app.register_blueprint(jwks_routes(AccessKeyRing(keys)))
    answer = app.test_client().get("/.well-known/jwks.json")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    return answer.get_json()


def test_a_secret_is_never_published() -> None:
    assert published(KEY) == {"keys": []}


def test_a_token_can_be_verified_with_the_published_key_alone() -> None:
    document = published(CURVED, KEY)
    assert [key["kid"] for key in document["keys"]] == ["k2"]
    assert not {"d", "k"} & set(document["keys"][0])
    key = jwt.PyJWKSet.from_dict(document)["k2"]
    claims = jwt.decode(issued(tokens(CURVED, KEY)), key, algorithms=["ES256"], audience="mirroros")
    assert claims["type"] == "access"


def rings_printed_for(ring: AccessKeyRing, *options: str) -> list[AccessKeyRing]:
    app = Flask("keys")
    app.cli.add_command(key_commands(ring))
    done = app.test_cli_runner().invoke(args=["keys", "rotate", *options])
    assert done.exit_code == 0
    return [AccessKeyRing.read(text) for text in re.findall(r"^JWT_KEYS=(.*)$", done.output, re.MULTILINE)]


def test_the_three_steps_of_a_rotation_sign_nobody_out() -> None:
    before = AccessKeyRing([KEY])
    steps = rings_printed_for(before)
    assert [[key.key_id for key in ring.keys] for ring in steps] == [["k1", "k2"], ["k2", "k1"], ["k2"]]
    # While a step is rolled out, processes of two neighbouring steps run side by side.
    rings = [before, *steps[:2]]
    for older, newer in pairwise(rings):
        tokens(*newer.keys).verify(issued(tokens(*older.keys)))
        tokens(*older.keys).verify(issued(tokens(*newer.keys)))
    tokens(*steps[2].keys).verify(issued(tokens(*steps[1].keys)))


def test_a_rotation_can_change_the_algorithm() -> None:
    assert rings_printed_for(AccessKeyRing([KEY]), "--algorithm", "ES256")[2].signing.algorithm == "ES256"


def test_an_id_never_comes_back() -> None:
    assert rings_printed_for(AccessKeyRing([new_key("k7", "HS256")]))[2].signing.key_id == "k8"


def test_the_list_of_keys_shows_none() -> None:
    app = Flask("keys")
    app.cli.add_command(key_commands(AccessKeyRing([CURVED, KEY])))
    done = app.test_cli_runner().invoke(args=["keys", "list"])
    assert done.output == "k2  ES256  signs and verifies\nk1  HS256  verifies\n"

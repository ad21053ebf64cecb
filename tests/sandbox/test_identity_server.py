"""The stand-ins for the sign-in of Apple and Google, and the process that runs them."""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from auth.apple_tokens.client import AUDIENCE
from database.base import utc_now
from sandbox.identity_server.server import IdentityServer

ALICE = {"email": "alice@example.com", "nonce": "n" * 16}


@pytest.fixture(scope="module")
def server() -> Iterator[IdentityServer]:
    running = IdentityServer()
    running.start()
    yield running
    running.stop()


def get(url: str, **query: str) -> requests.Response:
    return requests.get(url, params=query, timeout=5)


def refused(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def client(server: IdentityServer, **changes: Any) -> dict[str, str]:
    """What an app's server sends with every request to a token endpoint."""
    own, now = server.developer, int(utc_now().timestamp())
    claims = {"iss": own.team_id, "iat": now, "exp": now + 60, "aud": AUDIENCE, "sub": own.client_id, **changes}
    secret = jwt.encode(claims, own.key.p8.decode(), "ES256", {"kid": own.key.key_id})
    return {"client_id": own.client_id, "client_secret": secret}


@pytest.mark.parametrize(
    ("url", "keys"), [("{0.apple_url}/auth", "/auth/keys"), ("{0.google_url}/o/oauth2/v2", "/oauth2/v3/certs")]
)
def test_an_id_token_is_really_signed(server: IdentityServer, url: str, keys: str) -> None:
    base = url.format(server)
    path = f"{base}/authorize" if base.startswith(server.apple_url) else f"{base}/auth"
    token = get(path, **ALICE).json()["id_token"]
    published = get(f"http://{path.split('/')[2]}{keys}").json()
    key = jwt.PyJWKSet.from_dict(published)[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False})
    assert (claims["email"], claims["nonce"]) == (ALICE["email"], ALICE["nonce"])
    again = jwt.decode(get(path, **ALICE).json()["id_token"], options={"verify_signature": False})
    assert again["sub"] == claims["sub"]


@pytest.mark.parametrize("path", ["{0.apple_url}/auth/authorize", "{0.google_url}/o/oauth2/v2/auth"])
def test_who_asks_wrongly_is_told(server: IdentityServer, path: str) -> None:
    address = path.format(server)
    assert refused(get(address, **ALICE, client_id="com.example.other")) == (400, "invalid_client")
    assert refused(get(address, nonce="x")) == (400, "invalid_request")
    assert refused(get(address, email="alice@example.com")) == (400, "invalid_request")
    assert get(f"{address}/elsewhere").status_code == 404


def test_google_says_hd_when_it_is_asked_to(server: IdentityServer) -> None:
    address = f"{server.google_url}/o/oauth2/v2/auth"
    token = get(address, **ALICE, hd="example.com").json()["id_token"]
    assert jwt.decode(token, options={"verify_signature": False})["hd"] == "example.com"


def test_the_token_endpoints_refuse_as_apple_does(server: IdentityServer) -> None:
    for path in ("token", "revoke"):
        endpoint = f"{server.apple_url}/auth/{path}"
        assert refused(requests.post(endpoint, data={}, timeout=5)) == (400, "invalid_client")
        now = int(utc_now().timestamp())
        for wrong in (
            {"aud": "https://example.com"},
            {"exp": now - 1},
            {"iat": now + 3600},
            {"sub": "com.example.other"},
        ):
            assert refused(requests.post(endpoint, data=client(server, **wrong), timeout=5)) == (400, "invalid_client")
    token, revoke = f"{server.apple_url}/auth/token", f"{server.apple_url}/auth/revoke"
    other_grant = {**client(server), "grant_type": "password"}
    assert refused(requests.post(token, data=other_grant, timeout=5)) == (400, "unsupported_grant_type")
    assert refused(requests.post(revoke, data=client(server), timeout=5)) == (400, "invalid_request")
    assert requests.post(revoke, data={**client(server), "token": "never given"}, timeout=5).status_code == 200


def test_the_command_writes_what_the_api_needs_for_its_owner_alone(tmp_path: Path) -> None:
    settings = tmp_path / "sign-in" / "settings.json"
    command = [sys.executable, "-m", "sandbox.identity_server", "--settings", str(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = dict(process.stdout.readline().rstrip("\n").split(": ", 1) for _ in range(3))
        assert said["settings"] == str(settings)
        assert stat.S_IMODE(settings.stat().st_mode) == 0o600
        given = json.loads(settings.read_text())
        assert get(given["apple"]["APPLE_KEYS_URL"]).json()["keys"]
        assert get(given["google"]["GOOGLE_KEYS_URL"]).json()["keys"]
        assert given["apple"]["APPLE_SIGN_IN_URL"] == said["apple"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0

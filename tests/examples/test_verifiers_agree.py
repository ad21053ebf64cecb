"""The JavaScript verifier and the Python one give the same signatures and verdicts, byte for byte."""

import base64
import json
import os
import random
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from examples.private_server.mirror_verifier import (
    Keys,
    MemoryNonceStore,
    RequestRefused,
    RequestVerifier,
    VerifiedRequest,
    read_keys,
)
from security.request_signer import sign_request, verify_response
from security.secrets.signing_keys import PrivateServerKeys, SigningKey
from tests.examples.message import Message, altered

NODE = shutil.which("node")
NODE_TEST = Path(__file__).with_name("verifiers_agree.test.mjs")
NOW = 1_795_414_147
MOMENT = datetime.fromtimestamp(NOW, UTC)
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
TARGETS = (
    "/",
    "/predict",
    "/v1/caf%C3%A9",
    "/a%2Fb/../c",
    "//x",
    "/predict?a=1&b=%20",
    "/p?x=1?y=2",
    "/~!$&'()*+,;=:@",
)
CONTENT_TYPES = ("", "application/json", "application/json; charset=utf-8", 'multipart/x; boundary="a b"')
LETTERS = 'abc \t\n"\\\u00e9\u4e2d\u0000\ud7ff\U0001f600\u2028'


def make_request(chance: random.Random, ring: PrivateServerKeys, *, offset: int) -> Message:
    body = "".join(chance.choices(LETTERS, k=chance.choice((0, 1, 7, 200)))).encode()
    context = base64.urlsafe_b64encode(chance.randbytes(chance.choice((0, 1, 2, 3, 60)))).rstrip(b"=").decode()
    method, target = chance.choice(METHODS), chance.choice(TARGETS)
    signed = sign_request(
        ring,
        method=method,
        target=target,
        body=body,
        content_type=chance.choice(CONTENT_TYPES),
        context=context,
        now=datetime.fromtimestamp(NOW + offset, UTC),
        nonce=base64.urlsafe_b64encode(chance.randbytes(16)).rstrip(b"=").decode(),
    )
    headers = list(signed.headers.items())
    chance.shuffle(headers)
    return Message(tuple(headers), method, target, body)


def tampered(chance: random.Random, message: Message) -> Message:
    """One of the ways in which a message goes wrong."""
    headers = list(message.headers)
    place = chance.randrange(len(headers))
    name, value = headers[place]
    match chance.randrange(7):
        case 0:
            del headers[place]
        case 1:
            headers.append((name.swapcase(), value))
        case 2:
            headers[place] = (
                name,
                chance.choice(("", value.upper(), value + "\n", "\u00e9", f" {value}", f"{value},{value}")),
            )
        case 3:
            headers[place] = (
                name,
                chance.choice(("01795414147", "1e9", "-5", "0", "9" * 40, "k2", "v0=" + "a" * 64)),
            )
        case 4:
            return replace(
                message, target=chance.choice(("", "*", "/predict?", "/caf\u00e9", "/a b", "/other", "?a=1"))
            )
        case 5:
            return replace(message, method=chance.choice(("get", "OPTIONS", "", "POST\n")))
        case _:
            return altered(message, chance.randrange(1_000_000), chance.randrange(8))
    return replace(message, headers=tuple(headers))


def python_verdict(verifier: RequestVerifier, message: Message) -> str:
    try:
        verifier.verify(message.method, message.target, message.headers, message.body)
    except RequestRefused as refused:
        return refused.code
    return "accepted"


def python_keys(environment: dict[str, str]) -> list[tuple[str, str]] | None:
    try:
        return [
            (key_id, base64.b64encode(secret).decode()) for key_id, secret in read_keys(environment).secrets.items()
        ]
    except ValueError:
        return None


def setting_cases(chance: random.Random) -> list[dict[str, Any]]:
    typed = ["msk_" + base64.b64encode(chance.randbytes(size)).decode() for size in (31, 32, 33, 34, 64)]
    environments: list[dict[str, str]] = [{}, {"PRIVATE_API_SECRET": ""}]
    values = [
        *typed,
        typed[1].rstrip("="),
        typed[1] + "=",
        "msk_",
        "msk_" + "-" * 44,
        "msk_" + "A" * 45,
        "a" * 31,
        "\u00e9" * 16,
    ]
    environments += [{"PRIVATE_API_SECRET": value} for value in values]
    lists = [
        f"k2:{typed[1]},k1:{typed[2]}",
        f"k2:{typed[1]}, k1:{typed[2]} ",
        f"k1:{typed[1]},k1:{typed[2]}",
        f"k1:{typed[1]},",
    ]
    lists += [
        f"k1:{'a' * 40}",
        typed[1],
        f":{typed[1]}",
        f"k 1:{typed[1]}",
        f"k1:{typed[0]}",
        f"a.b_c-D:{typed[4]}",
    ]
    environments += [{"PRIVATE_API_KEYS": value, "PRIVATE_API_SECRET": "b" * 32} for value in lists]
    return [{"environment": environment, "keys": python_keys(environment)} for environment in environments]


def as_case(message: Message, verdict: str) -> dict[str, Any]:
    return {
        "method": message.method,
        "target": message.target,
        "headers": message.headers,
        "body": base64.b64encode(message.body).decode(),
        "verdict": verdict,
    }


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_both_verifiers_agree_byte_for_byte(tmp_path: Path) -> None:
    chance = random.Random(20261123)
    secrets_by_id = {"k1": chance.randbytes(32), "k2": chance.randbytes(64)}
    rings = [PrivateServerKeys((SigningKey(key_id, secret),)) for key_id, secret in secrets_by_id.items()]
    rings.append(PrivateServerKeys((SigningKey("k3", chance.randbytes(32)),)))
    verifier = RequestVerifier(Keys(secrets_by_id), MemoryNonceStore(clock=lambda: NOW), clock=lambda: NOW)

    requests = []
    for _ in range(300):
        ring = chance.choices(rings, weights=(10, 10, 1))[0]
        message = make_request(chance, ring, offset=chance.choice((0, 0, 0, -300, 300, -301, 301)))
        attempts = [message] if chance.random() < 0.5 else [tampered(chance, message)]
        attempts += [message] if chance.random() < 0.2 else []
        requests += [as_case(attempt, python_verdict(verifier, attempt)) for attempt in attempts]
    verdicts = {case["verdict"] for case in requests}
    assert verdicts >= {
        "accepted",
        "replayed",
        "key_unknown",
        "clock_skew",
        "digest_mismatch",
        "signature_invalid",
        "signature_missing",
        "signature_malformed",
    }

    responses = []
    for _ in range(100):
        key_id = chance.choice(("k1", "k2"))
        nonce = base64.urlsafe_b64encode(chance.randbytes(16)).rstrip(b"=").decode()
        body = "".join(chance.choices(LETTERS, k=chance.choice((0, 1, 50)))).encode()
        status, content_type = chance.choice((200, 204, 422, 500)), chance.choice(CONTENT_TYPES)
        headers = verifier.sign_response(VerifiedRequest(key_id, nonce, NOW, ""), status, content_type, body)
        responses.append(
            {
                "keyId": key_id,
                "nonce": nonce,
                "status": status,
                "contentType": content_type,
                "body": base64.b64encode(body).decode(),
                "headers": headers,
            }
        )

    cases_file, answers_file = tmp_path / "cases.json", tmp_path / "answers.json"
    keys = {key_id: base64.b64encode(secret).decode() for key_id, secret in secrets_by_id.items()}
    cases = {
        "now": NOW,
        "keys": keys,
        "requests": requests,
        "responses": responses,
        "settings": setting_cases(chance),
    }
    cases_file.write_text(json.dumps(cases))
    node = subprocess.run(
        [str(NODE), "--test", "--test-reporter=tap", str(NODE_TEST)],
        env={**os.environ, "MIRROR_CASES": str(cases_file), "MIRROR_ANSWERS": str(answers_file)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert node.returncode == 0, node.stdout + node.stderr
    assert "# skipped 0" in node.stdout

    # The other direction: what JavaScript signed, the gateway accepts.
    both = PrivateServerKeys(tuple(SigningKey(key_id, secret) for key_id, secret in secrets_by_id.items()))
    for case, answer in zip(responses, json.loads(answers_file.read_text()), strict=True):
        verify_response(
            both,
            nonce=str(case["nonce"]),
            status=int(str(case["status"])),
            headers=answer.items(),
            body=base64.b64decode(str(case["body"])),
            now=MOMENT,
        )

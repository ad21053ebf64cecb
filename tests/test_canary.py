"""The canary sings: for every shape of a secret, in every place, and for nothing else."""

import re
import secrets
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from tests.canary import PROMPT, Canary, shapes_in
from tests.capabilities.solve.made_pictures import drawn, saved

ROOT = Path(__file__).parents[1]
KEY = secrets.token_hex(16)
DIGITS = "0123456789abcdef" * 2
SECRETS = {
    "signed token": f"eyJhbGciOiJIUzI1NiJ9.{secrets.token_urlsafe(40)}.{secrets.token_urlsafe(32)}",
    "our token": f"rt_{secrets.token_urlsafe(48)}",
    "stripe key": f"sk_test_{KEY}",
    "ai provider key": f"sk-proj-{KEY}",
    "webhook secret": f"whsec_{KEY}",
    "client secret": f"pi_{KEY}_secret_{KEY}",
    "password hash": bcrypt.hashpw(b"tulip-9-orbit-canoe", bcrypt.gensalt(4)).decode(),
    "private key": "-----BEGIN EC PRIVATE KEY-----",
    "picture": b64encode(saved(drawn(), "PNG")).decode(),
    "prompt": PROMPT,
    "receipt": b64encode(b"\x30\x82\x09\x10" + secrets.token_bytes(200)).decode().replace("/", "A"),
}
PLACES = {
    "stdout": "print(SECRET)",
    "stderr": "print(SECRET, file=sys.stderr)",
    "log": "logging.getLogger('any').warning('it is %s', SECRET)",
    "a fixture that ends": "request.addfinalizer(lambda: print(SECRET))",
    "the log of a server": "canary.watch(tmp_path / 'web.log'); (tmp_path / 'web.log').write_text(SECRET)",
    "the body of an error": "tell(SECRET, 400)",
    "a challenge where none is due": 'tell(f\'{{"challenge": "sc_{KEY}{KEY}"}}\', 401)',
}
HARMLESS = {
    "nothing": "pass",
    "the body of a success": "tell(SECRET, 200)",
    "the challenge of a sign-in": 'tell(f\'{{"error": "mfa_required", "challenge": "sc_{KEY}{KEY}"}}\', 401)',
    "the token of a form": 'tell(f\'<input name="csrf_token" value="rt_{KEY}{KEY}">\', 403)',
    "the middle of something random": 'tell(f"x-rt_{KEY}{KEY}", 403)',
    "a masked one": "print('Bearer [masked]')",
    "what the test looked at itself": "print(SECRET); capsys.readouterr()",
}
PROGRAM = """
import logging, sys
import pytest
from flask import Flask
from tests.canary import canary

SECRET = {secret!r}
KEY = SECRET[-20:]

def tell(text, status):
    app = Flask("told")
    app.add_url_rule("/", view_func=lambda: (text, status))
    app.test_client().get("/")

"""


@pytest.mark.parametrize("kind", SECRETS)
def test_every_shape_is_known(kind: str) -> None:
    assert list(shapes_in(f'{{"event": "it was {SECRETS[kind]}."}}')) == [kind]


@pytest.mark.parametrize(
    ("begin", "end"), [("sk-", ""), ("sk-proj-", ""), ("sk-ant-api03-", ""), ("gsk_", ""), ("AIza", "aBc")]
)
def test_the_keys_of_all_ai_providers_are_known(begin: str, end: str) -> None:
    key = f"{begin}{KEY}{end}"
    assert list(shapes_in(f"Bearer {key}")) == ["ai provider key"]


@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "GIF", "WEBP"])
def test_pictures_are_known_however_they_are_written(picture_format: str) -> None:
    picture = saved(drawn(), picture_format)
    texts = [b64encode(picture).decode(), repr(picture), picture.decode("latin-1")]
    assert ["picture" in shapes_in(text) for text in texts] == [True] * 3


@pytest.mark.parametrize(
    "text",
    [
        "tok_visa",
        "pk_test_",
        "rt_[masked]",
        "price_pro_monthly",
        "evt_" + DIGITS,
        "pi_" + DIGITS,
        "cus_" + DIGITS,
        "x" * 5000,
        "cs_test_" + DIGITS,
        "test_that_a_tok_is_no_word_that_goes_on_and_on_and_on",
        f"sha256={DIGITS}",
        "data:image/png;base64,iVBORw0KGgo=",
        "Send JPEG, PNG, WebP or GIF",
        "$2b$",
        "eyJ",
    ],
)
def test_ids_and_digests_are_no_secrets(text: str) -> None:
    assert list(shapes_in(text)) == []


def test_only_what_is_new_in_a_log_is_read(tmp_path: Path) -> None:
    canary, log = Canary(), tmp_path / "web.log"
    log.write_text(SECRETS["our token"])
    canary.watch(log)
    with log.open("a") as more:
        more.write(SECRETS["webhook secret"])
    canary.read_logs()
    assert canary.taken() == ["webhook secret in web.log"]
    canary.read_logs()
    assert canary.taken() == []


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One run of pytest in a process of its own, over tests that let a secret out everywhere and nowhere."""
    folder = tmp_path_factory.mktemp("canary")
    program = PROGRAM.format(secret=SECRETS["our token"])
    bodies = [*PLACES.values(), *HARMLESS.values(), "print(SECRET)", "print('harmless')"]
    marks = {
        len(bodies) - 2: "@pytest.mark.prints_secrets('it shows a key once')",
        len(bodies) - 1: "@pytest.mark.prints_secrets",
    }
    for number, body in enumerate(bodies):
        used = "tmp_path, request, capsys" if "capsys" in body else "tmp_path, request"
        program += f"{marks.get(number, '')}\ndef test_{number:02}({used}):\n    {body}\n\n"
    (folder / "test_inside.py").write_text(program)
    options = [
        "-p",
        "tests.canary",
        "-p",
        "no:cacheprovider",
        "-q",
        "-rpE",
        "--tb=line",
        "--strict-markers",
        "-c",
        "/dev/null",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    yield done.stdout
    assert done.returncode == 1


def complained(results: str, number: int) -> bool:
    return re.search(rf"^ERROR \S*test_inside.py::test_{number:02}( - .*)?$", results, re.MULTILINE) is not None


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_fails_the_test_that_let_it_out(results: str, place: str) -> None:
    assert complained(results, list(PLACES).index(place)), results


@pytest.mark.parametrize("what", HARMLESS)
def test_everything_else_passes(results: str, what: str) -> None:
    assert not complained(results, len(PLACES) + list(HARMLESS).index(what)), results


def test_a_mark_with_a_reason_excuses_and_one_without_does_not(results: str) -> None:
    marked = len(PLACES) + len(HARMLESS)
    assert [complained(results, marked), complained(results, marked + 1)] == [False, True]


def test_the_complaint_names_kind_and_place(results: str) -> None:
    assert "This test let out: our token in Captured stdout call" in results

"""docs/private-server.md says what the code does."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from examples.private_server.baseline_forecast import forecast
from examples.private_server.read_question import read_question

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/private-server.md").read_text(encoding="utf-8")
VECTORS = json.loads((ROOT / "examples/private_server/vectors.json").read_text(encoding="utf-8"))


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("sh")), reason="needs a shell and openssl")
def test_the_shell_example_prints_vector_a() -> None:
    (script,) = re.findall(r"```sh\n(.*?openssl.*?)```", PAGE, re.DOTALL)
    printed = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert printed.stdout.strip() == VECTORS["requests"][0]["signature"]
    assert printed.stderr == ""


def test_the_page_shows_every_published_vector() -> None:
    for vector in [*VECTORS["requests"], *VECTORS["responses"]]:
        assert vector["signature"] in PAGE
    assert VECTORS["secret"] in PAGE
    assert VECTORS["nonce"] in PAGE


def test_the_page_names_every_refusal_of_the_verifier() -> None:
    source = (ROOT / "examples/private_server/mirror_verifier.py").read_text(encoding="utf-8")
    codes = set(re.findall(r'RequestRefused\(\d+, "(\w+)"', source))
    assert len(codes) == 10
    assert {code for code in codes if f"`{code}`" not in PAGE} == set()


def test_the_example_question_gets_the_example_answer() -> None:
    question, answer = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert forecast(read_question(question.encode())) == json.loads(answer)

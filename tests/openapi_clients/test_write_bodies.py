"""What `make check-openapi` compiles comes from the README, and what it installs is locked."""

import json
from pathlib import Path

import pytest

from tests.openapi_clients.write_bodies import ROOT, Example, python, readme_examples

HERE = Path(__file__).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_body_of_the_readme_is_found() -> None:
    found = readme_examples(README)
    assert len(found) == README.count(" -d '{")
    assert {example.path for example in found} >= {"/api/auth/register", "/api/gateway/predict"}


@pytest.mark.parametrize(
    "line", ["curl https://elsewhere.example.com/x -d '{}'", "curl http://localhost:8000/x -d @body.json"]
)
def test_a_line_that_cannot_be_read_is_no_silence(line: str) -> None:
    with pytest.raises(ValueError, match="no address or no body"):
        readme_examples(f"```bash\n{line}\n```\n")


def test_a_body_that_the_document_does_not_know_is_not_written() -> None:
    with pytest.raises(KeyError):
        python({"paths": {}}, [Example("post", "/gone", {})])


def test_what_npm_installs_is_locked_by_hash_and_names_no_registry() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    del packages[""]
    assert [name for name, package in packages.items() if "integrity" not in package or "resolved" in package] == []
    assert "omit-lockfile-registry-resolved=true" in (HERE / ".npmrc").read_text().splitlines()


def test_the_versions_of_the_tools_are_exact() -> None:
    wanted = json.loads((HERE / "package.json").read_text())["devDependencies"]
    assert [version for version in wanted.values() if not version[0].isdigit()] == []

"""What the benchmark installs to compare with is locked, and only the answers that were wanted are counted."""

import itertools
import json

import pytest

from bench.load import Load, run
from bench.peers.install import HERE
from sandbox.http_listener import Listener, Reply, Request


def test_what_npm_installs_is_locked_by_hash_and_names_no_registry() -> None:
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    del packages[""]
    assert [name for name, package in packages.items() if "integrity" not in package or "resolved" in package] == []
    assert "omit-lockfile-registry-resolved=true" in (HERE / ".npmrc").read_text().splitlines()


def test_the_versions_of_the_libraries_are_exact() -> None:
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    assert [version for version in wanted.values() if not version[0].isdigit()] == []


@pytest.mark.parametrize("wanted", [200, 429])
def test_answers_with_another_status_than_the_wanted_one_have_failed(wanted: int) -> None:
    count = itertools.count()

    def answer(_: Request) -> Reply:
        return Reply(200 if next(count) % 3 else 429, "ok")

    listener = Listener(answer)
    listener.start()
    try:
        port = int(listener.url.rpartition(":")[2])
        request = b"GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n"
        outcome = run(Load(port, [request], 1, warm_up=0, window=0.2, wanted=wanted), lambda: None)
    finally:
        listener.stop()
    assert outcome.accepted == outcome.statuses[wanted] == len(outcome.durations_ms) > 0
    assert outcome.failed == outcome.statuses.total() - outcome.statuses[wanted] > 0

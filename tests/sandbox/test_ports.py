"""A port that another program takes before the server does."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sandbox.ports
from sandbox.cannot_start import CannotStart
from sandbox.postgres import EmbeddedPostgres
from sandbox.valkey import EmbeddedValkey, ValkeyUnavailable

Server = EmbeddedPostgres | EmbeddedValkey


@pytest.fixture(params=["PostgreSQL", "Valkey"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "Valkey":
        valkey = EmbeddedValkey(tmp_path, log_file=tmp_path / "log")
        yield valkey
        valkey.stop()
    else:
        postgres = EmbeddedPostgres(tmp_path, durable=False, log_file=tmp_path / "log")
        yield postgres
        postgres.discard()


@pytest.mark.slow
def test_a_server_takes_another_one(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = iter([taken.getsockname()[1]])
        find = sandbox.ports.free_port
        monkeypatch.setattr(sandbox.ports, "free_port", lambda: next(found, None) or find())
        server.start()
        assert server.port not in {0, taken.getsockname()[1]}


def test_a_server_that_starts_again_waits_for_its_own(server: Server) -> None:
    server.start()
    port = server.port
    server.stop()
    assert server.log_file is not None
    with ThreadPoolExecutor(1) as another:
        with socket.create_server(("127.0.0.1", port)):
            starting = another.submit(server.start)
            deadline = time.monotonic() + 20
            while sandbox.ports.IN_USE not in server.log_file.read_bytes():
                assert time.monotonic() < deadline
                time.sleep(0.01)
        starting.result(timeout=20)
    assert server.port == port


def test_whatever_else_stops_a_server_is_not_tried_again(tmp_path: Path) -> None:
    tries = []

    def start(port: int) -> None:
        tries.append(port)
        raise ValkeyUnavailable("out of memory")

    with pytest.raises(CannotStart, match="out of memory"):
        sandbox.ports.start_on_a_port(start, tmp_path / "log", again_on=0, within_seconds=20)
    assert len(tries) == 1

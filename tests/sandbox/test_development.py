"""The embedded servers of `flask run`, `flask db upgrade` and other commands that `make run` did not start."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import psycopg2
import pytest

from sandbox.claim import claim_services, published_addresses
from sandbox.development import ServicesBusy, ensure_services, is_lasting
from sandbox.services import APP_STORE_VARIABLES, SIGN_IN_VARIABLES, STRIPE_VARIABLES

COMMAND = """
import json, pathlib, sys
from sandbox.development import ensure_services
added = ensure_services(json.loads(sys.argv[2]), pathlib.Path(sys.argv[1]), sys.argv[3:])
print(json.dumps(added), flush=True)
sys.stdin.read()
"""
PRIVATE = {"PRIVATE_API_URL": "http://127.0.0.1:1"}


class Command:
    """Another command in the same folder, until the end of the block."""

    def __init__(self, folder: Path, *argv: str, environ: Mapping[str, str] = PRIVATE) -> None:
        command = [sys.executable, "-c", COMMAND, str(folder), json.dumps(environ), *argv]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> dict[str, str]:
        output: IO[str] | None = self._process.stdout
        assert output is not None
        added: dict[str, str] = json.loads(output.readline())
        return added

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)
        assert self._process.returncode == 0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    claim = claim_services(tmp_path)
    assert claim is not None, "a command still holds the servers"
    claim.release()


def can_connect(url: str) -> bool:
    try:
        psycopg2.connect(url, connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def test_nothing_is_started_when_every_address_is_set(folder: Path) -> None:
    environ = {"DATABASE_URL": "postgresql://db/x", "REDIS_URL": "redis://cache", **PRIVATE}
    assert set(ensure_services(environ, folder)) == {"SECRET_KEY", "PRIVATE_API_SECRET"}
    assert not (folder / "postgres").exists()


def test_a_lasting_command_lends_its_servers_and_stops_them_at_its_end(folder: Path) -> None:
    with Command(folder, "flask", "run", "--port=8000") as owner:
        assert set(owner) == {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "PRIVATE_API_SECRET"}
        assert can_connect(owner["DATABASE_URL"])
        assert ensure_services(PRIVATE, folder, ["flask", "db", "upgrade"]) == owner
    assert not can_connect(owner["DATABASE_URL"])
    assert published_addresses(folder) is None


@pytest.mark.slow
def test_a_short_command_starts_postgresql_alone_and_lends_nothing(folder: Path) -> None:
    with Command(folder, "flask", "db", "upgrade") as owner:
        assert "REDIS_URL" not in owner
        assert can_connect(owner["DATABASE_URL"])
        assert published_addresses(folder) is None
    assert not can_connect(owner["DATABASE_URL"])


def test_a_short_command_with_a_database_of_its_own_starts_nothing(folder: Path) -> None:
    argv = ["flask", "db", "upgrade"]
    with Command(folder, *argv, environ={"DATABASE_URL": "postgresql://db/x"}) as added:
        assert set(added) == {"SECRET_KEY", "PRIVATE_API_SECRET"}


def test_a_command_without_redis_lends_to_another_one_all_the_same(folder: Path) -> None:
    """As `make run` on a machine without Valkey does, given PostgreSQL and a private server: it has nothing to lend."""
    claim = claim_services(folder)
    assert claim is not None
    claim.publish({})
    environ = {"DATABASE_URL": "postgresql://db/x", **PRIVATE}
    assert "REDIS_URL" not in ensure_services(environ, folder, ["flask", "worker", "run"])
    claim.release()


@pytest.mark.slow
def test_the_data_outlives_the_command(folder: Path) -> None:
    with Command(folder, "flask", "db", "upgrade") as first:
        connection = psycopg2.connect(first["DATABASE_URL"])
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept ()")
        connection.close()
    with Command(folder, "flask", "run") as second:
        connection = psycopg2.connect(second["DATABASE_URL"])
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('kept') IS NOT NULL")
            assert cursor.fetchone() == (True,)
        connection.close()


def test_an_address_that_the_running_command_does_not_have_is_named(folder: Path) -> None:
    claim = claim_services(folder)
    assert claim is not None
    claim.publish({"REDIS_URL": "redis://127.0.0.1:1"})
    with pytest.raises(ServicesBusy, match="DATABASE_URL"):
        ensure_services(PRIVATE, folder, ["flask", "run"])
    claim.publish({"DATABASE_URL": "postgresql://db/x"})
    with pytest.raises(ServicesBusy, match="not for PRIVATE_API_URL"):
        ensure_services({}, folder, ["flask", "run"])
    claim.release()


def test_the_stand_ins_for_sign_in_are_lent_to_whoever_has_no_app_at_that_provider(folder: Path) -> None:
    claim = claim_services(folder)
    assert claim is not None
    apple = dict.fromkeys(("APPLE_CLIENT_IDS", *SIGN_IN_VARIABLES["APPLE_CLIENT_IDS"]), "apple's")
    google = dict.fromkeys(("GOOGLE_CLIENT_IDS", *SIGN_IN_VARIABLES["GOOGLE_CLIENT_IDS"]), "google's")
    claim.publish({"DATABASE_URL": "postgresql://db/x", **apple, **google})
    argv = ["flask", "worker", "run"]
    assert (apple | google).items() <= ensure_services(PRIVATE, folder, argv).items()
    added = ensure_services({**PRIVATE, "APPLE_CLIENT_IDS": "com.example.own"}, folder, argv)
    claim.release()
    assert google.items() <= added.items()
    assert not apple.keys() & added.keys()


def test_the_stand_ins_for_the_stores_are_lent_to_whoever_has_no_account_there(folder: Path) -> None:
    claim = claim_services(folder)
    assert claim is not None
    stripe, app_store = dict.fromkeys(STRIPE_VARIABLES, "stripe's"), dict.fromkeys(APP_STORE_VARIABLES, "apple's")
    claim.publish({"DATABASE_URL": "postgresql://db/x", **stripe, **app_store})
    argv = ["flask", "worker", "run"]
    assert (stripe | app_store).items() <= ensure_services(PRIVATE, folder, argv).items()
    added = ensure_services({**PRIVATE, "APPLE_BUNDLE_ID": "com.example.own"}, folder, argv)
    claim.release()
    assert stripe.items() <= added.items()
    assert not app_store.keys() & added.keys()


def test_flask_run_says_that_it_has_no_worker(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"DATABASE_URL": "postgresql://db/x", "REDIS_URL": "redis://cache", **PRIVATE}
    for argv, said in ((["flask", "run"], True), (["flask", "worker", "run"], False), (["gunicorn"], False)):
        ensure_services(environ, folder, argv)
        assert ("`flask worker run` in another terminal" in capsys.readouterr().err) is said
    ensure_services({**environ, "WERKZEUG_RUN_MAIN": "true"}, folder, ["flask", "run"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("argv", "lasting"),
    [
        (["/x/.venv/bin/gunicorn", "-c", "gunicorn.conf.py"], True),
        (["/x/flask/__main__.py", "run", "--port=8000"], True),
        (["flask", "worker", "run"], True),
        (["flask", "db", "upgrade"], False),
        (["-c"], False),
    ],
)
def test_which_commands_last(argv: list[str], lasting: bool) -> None:
    assert is_lasting(argv) is lasting

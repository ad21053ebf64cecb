"""The scripts in deploy/backup: every row comes back, and what cannot be right is said and changes nothing."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskCliRunner

import app  # noqa: F401 - with every table
from sandbox.postgres import find_binaries
from tests.bare_app import bare_app, disconnect
from tests.conftest import administer
from tests.databases import ask

SCRIPTS = Path(__file__).parents[1] / "deploy" / "backup"
LEDGER = (
    "INSERT INTO users (id, email, email_key, created_at, updated_at)"
    " SELECT gen_random_uuid(), name, name, now(), now() FROM unnest(ARRAY['alice@example.com', 'bob@example.com']) AS name",
    'INSERT INTO usage_counters (user_id, feature, unit, "window", used, allowed)'
    " SELECT id, 'predict', 'call', day, 7, NULL FROM users, unnest(ARRAY['2026-11-29', '2026-11-30']) AS day",
    "INSERT INTO charges (request_id, user_id, feature, price_micros, cost_micros, units)"
    " SELECT gen_random_uuid(), id, 'chat', 1200000, 400000, '{\"tokens\": 12}' FROM users",
    "INSERT INTO entitlement_ledger (id, user_id, from_tier, to_tier, cause, at)"
    " SELECT gen_random_uuid(), id, 'free', 'pro', 'manual:operator', now() FROM users",
    "INSERT INTO request_logs (id, user_id, request_data_hash, success, response_time_ms, feature, tier, status, upstream_ms,"
    " window_date) SELECT gen_random_uuid(), users.id, repeat('0', 64), true, 10, 'predict', 'free', 200, 9, '2026-11-30'"
    " FROM users, generate_series(1, 500)",
)


def tools() -> Path:
    """PostgreSQL's own programs, as new as the server that the tests run."""
    folder = find_binaries()
    missing = [name for name in ("psql", "pg_dump", "pg_restore") if not (folder / name).exists()]
    if missing:
        pytest.skip(f"{folder} has no {', '.join(missing)}")
    return folder


def run(script: str, *args: str, first: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """`first`: a folder whose programs are found before PostgreSQL's."""
    path = f"{first}:" if first else ""
    return subprocess.run(
        [str(SCRIPTS / script), *args],
        env={"PATH": f"{path}{tools()}:{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def ledger_url(database_url: str) -> str:
    ask(database_url, *LEDGER)
    return database_url


@pytest.fixture
def rehearsal_url(postgres_server: str) -> Iterator[str]:
    """An empty database of a user who is no superuser."""
    role, password = f"mos_{secrets.token_hex(4)}", secrets.token_hex(12)
    administer(postgres_server, f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    administer(postgres_server, f'CREATE DATABASE "{role}_rehearsal" OWNER {role} STRATEGY wal_log')
    host = postgres_server.rpartition("@")[2].rpartition("/")[0]
    yield f"postgresql+psycopg2://{role}:{password}@{host}/{role}_rehearsal"
    administer(postgres_server, f'DROP DATABASE "{role}_rehearsal" WITH (FORCE)')
    administer(postgres_server, f"DROP ROLE {role}")


def rows(url: str, table: str) -> list[object]:
    return ask(url.replace("+psycopg2", ""), f'SELECT md5(t::text) FROM "{table}" AS t ORDER BY 1')


def test_a_rehearsal_brings_every_row_back(ledger_url: str, rehearsal_url: str) -> None:
    """Of what was there before, nothing stays."""
    ask(rehearsal_url.replace("+psycopg2", ""), "CREATE TABLE users (of_the_last_rehearsal text)")
    done = run("rehearse", DATABASE_URL=ledger_url, REHEARSAL_URL=rehearsal_url)
    assert done.returncode == 0, done.stderr
    assert "ledger used predict call 28 in 4 windows" in done.stdout
    assert "ledger charged_micros 2400000 in 2 charges" in done.stdout
    for table in ("users", "usage_counters", "charges", "entitlement_ledger", "request_logs", "alembic_version"):
        assert rows(ledger_url, table) == rows(rehearsal_url, table) != []
    assert not any("password" in line for line in (done.stdout + done.stderr).splitlines())


@pytest.mark.slow
def test_the_restored_schema_is_the_one_of_the_models(ledger_url: str, rehearsal_url: str) -> None:
    assert run("rehearse", DATABASE_URL=ledger_url, REHEARSAL_URL=rehearsal_url).returncode == 0
    restored = bare_app(rehearsal_url.replace("+psycopg2", ""))
    try:
        checked = FlaskCliRunner(restored).invoke(args=["db", "check"])
        assert checked.exit_code == 0
    finally:
        disconnect(restored)
    with pytest.raises(Exception, match="ledger"):  # the trigger came back too
        ask(rehearsal_url.replace("+psycopg2", ""), "DELETE FROM entitlement_ledger")


@pytest.mark.slow
def test_what_is_written_during_a_backup_is_in_none_of_its_files(
    ledger_url: str, rehearsal_url: str, tmp_path: Path
) -> None:
    """This pg_dump writes to the database before it begins: after the snapshot, before the comparison's figures are read."""
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "pg_dump"
    wrapper.write_text(
        "#!/bin/sh\n"
        'psql --no-psqlrc --quiet --command="UPDATE usage_counters SET used = used + 1" "$BACKUP_URL" &&\n'
        f"exec {tools() / 'pg_dump'} \"$@\"\n"
    )
    wrapper.chmod(0o755)
    made = run("backup", str(tmp_path / "backups"), first=tmp_path / "bin", DATABASE_URL=ledger_url)
    assert made.returncode == 0, made.stderr
    restored = run("restore", made.stdout.strip(), RESTORE_URL=rehearsal_url)
    assert restored.returncode == 0, restored.stderr
    assert "call 28 in 4 windows" in restored.stdout
    assert ask(ledger_url, "SELECT sum(used)::int FROM usage_counters") == [(32,)]


@pytest.mark.slow
def test_a_backup_is_readable_by_its_owner_alone(ledger_url: str, tmp_path: Path) -> None:
    dump = Path(run("backup", str(tmp_path / "backups"), DATABASE_URL=ledger_url).stdout.strip())
    files = sorted(path.suffix for path in dump.parent.iterdir())
    assert files == [".contents", ".dump"]
    assert {path.stat().st_mode & 0o077 for path in dump.parent.iterdir()} == {0}
    assert "alice@example.com" not in dump.with_suffix(".contents").read_text()


@pytest.mark.slow
def test_no_backup_is_left_when_pg_dump_fails(ledger_url: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin" / "pg_dump"
    broken.write_text("#!/bin/sh\necho 'disk full' >&2\nexit 1\n")
    broken.chmod(0o755)
    done = run("backup", str(tmp_path / "backups"), first=tmp_path / "bin", DATABASE_URL=ledger_url)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["disk full", "pg_dump failed. There is no backup."]
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.slow
def test_a_backup_that_was_changed_is_noticed(ledger_url: str, rehearsal_url: str, tmp_path: Path) -> None:
    dump = Path(run("backup", str(tmp_path), DATABASE_URL=ledger_url).stdout.strip())
    contents = dump.with_suffix(".contents")
    contents.write_text(contents.read_text().replace("call 28 in", "call 29 in"))
    done = run("restore", str(dump), RESTORE_URL=rehearsal_url)
    assert done.returncode == 1
    assert "< ledger used predict call 29 in 4 windows" in done.stdout
    assert "differs from the backup" in done.stderr


def test_a_restore_overwrites_nothing(ledger_url: str, tmp_path: Path) -> None:
    dump = run("backup", str(tmp_path), DATABASE_URL=ledger_url).stdout.strip()
    done = run("restore", dump, RESTORE_URL=ledger_url)
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "The database of RESTORE_URL is not empty. Create a new one: nothing is overwritten.",
    )
    assert ask(ledger_url, "SELECT count(*)::int FROM users") == [(2,)]


def test_a_rehearsal_wipes_nothing_that_is_not_for_it(ledger_url: str) -> None:
    done = run("rehearse", DATABASE_URL=ledger_url, REHEARSAL_URL=ledger_url)
    assert done.returncode == 1
    assert "does not end in _rehearsal" in done.stderr
    assert ask(ledger_url, "SELECT count(*)::int FROM users") == [(2,)]


@pytest.mark.slow
def test_a_backup_cut_short_is_not_restored(ledger_url: str, rehearsal_url: str, tmp_path: Path) -> None:
    dump = Path(run("backup", str(tmp_path), DATABASE_URL=ledger_url).stdout.strip())
    dump.write_bytes(dump.read_bytes()[:-2000])
    done = run("restore", str(dump), RESTORE_URL=rehearsal_url)
    assert done.returncode != 0
    assert ask(
        rehearsal_url.replace("+psycopg2", ""), "SELECT count(*)::int FROM pg_class WHERE relname = 'users'"
    ) == [(0,)]


@pytest.mark.parametrize("script", ["backup", "restore", "rehearse"])
def test_a_script_without_what_it_needs_says_how_it_is_used(script: str) -> None:
    done = run(script)
    assert done.returncode == 2
    assert f"deploy/backup/{script}" in done.stderr

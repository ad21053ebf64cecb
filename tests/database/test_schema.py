"""The release step, as the shell commands of the README."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from click.testing import CliRunner
from flask.cli import FlaskGroup

from app import create_app
from database.schema import initialize_production_database
from tests.databases import ask

ROOT = Path(__file__).resolve().parent.parent.parent
INITIALIZE = "from database.schema import initialize_production_database; initialize_production_database()"


def environment(url: str) -> dict[str, str]:
    return {
        "FLASK_ENV": "development",
        "DATABASE_URL": url,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "PRIVATE_API_URL": "http://127.0.0.1:1",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "PRIVATE_API_SECRET": secrets.token_urlsafe(48),
    }


def run(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment(url)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """This process has the environment of a release step of this database."""

    def step_in(url: str) -> None:
        monkeypatch.chdir(ROOT)
        for name, value in environment(url).items():
            monkeypatch.setenv(name, value)

    return step_in


def revision(url: str) -> str | None:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
        if cursor.fetchone() == (False,):
            return None
        cursor.execute("SELECT version_num FROM alembic_version")
        row = cursor.fetchone()
        return row[0] if row else None


def test_initializing_an_empty_database_migrates_it_and_says_so_however_often(empty_database_url: str) -> None:
    done = run(empty_database_url, "-c", f"{INITIALIZE}; initialize_production_database()")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("The database")]
    assert said == [f"The database is at revision {revision(empty_database_url)}."] * 2
    for view in ("activity", "subscriptions", "revenue", "usage", "response_times"):
        ask(empty_database_url, f"SELECT * FROM analytics_{view}")


def test_flask_db_upgrade_does_the_same(
    here: Callable[[str], None], empty_database_url: str, database_url: str
) -> None:
    here(empty_database_url)
    done = CliRunner().invoke(FlaskGroup(create_app=create_app, load_dotenv=False), ["db", "upgrade"])
    assert done.exit_code == 0, done.output
    assert revision(empty_database_url) == revision(database_url) is not None


@pytest.mark.slow
def test_two_releases_at_once_take_turns(empty_database_url: str, database_url: str) -> None:
    commands = [("-m", "flask", "db", "upgrade"), ("-c", INITIALIZE)]
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda arguments: run(empty_database_url, *arguments), commands))
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    assert revision(empty_database_url) == revision(database_url)


def test_a_database_that_cannot_be_reached_is_an_error(
    here: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    here("postgresql://alice@127.0.0.1:1/x")
    with pytest.raises(SystemExit) as ended:
        initialize_production_database()
    assert ended.value.code == 1
    assert "The database is at" not in capsys.readouterr().out

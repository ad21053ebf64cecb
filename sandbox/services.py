"""The servers that the API needs, for one machine: PostgreSQL, Valkey, the reference prediction server, a Stripe, an App Store, the
sign-in of Apple and Google, the AI providers, and an SSH server."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.cannot_start import CannotStart
from sandbox.child_process import ChildProcess
from sandbox.development_secrets import is_set
from sandbox.postgres import EmbeddedPostgres
from sandbox.stripe_server.development_prices import PRICES_SETTING
from sandbox.valkey import EmbeddedValkey, ValkeyUnavailable

if TYPE_CHECKING:
    from sandbox.demo_ssh import DemoSsh

ROOT = Path(__file__).resolve().parent.parent
ADDRESSES = ("DATABASE_URL", "REDIS_URL", "PRIVATE_API_URL")
DATABASE = "mirroros"
STRIPE_VARIABLES = ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_API_BASE", "STRIPE_PRICES")
APP_STORE_VARIABLES = (
    "APPLE_BUNDLE_ID",
    "APPLE_APP_ID",
    "APPLE_PRODUCTS",
    "APPLE_SHARED_SECRET",
    "APPLE_API_KEY_ID",
    "APPLE_API_ISSUER_ID",
    "APPLE_API_PRIVATE_KEY",
    "APPLE_ROOT_CERTIFICATE",
    "APPLE_PRODUCTION_URL",
    "APPLE_SANDBOX_URL",
)
SIGN_IN_VARIABLES = {
    "APPLE_CLIENT_IDS": (
        "APPLE_KEYS_URL",
        "APPLE_SIGN_IN_URL",
        "APPLE_SIGN_IN_KEY_ID",
        "APPLE_SIGN_IN_TEAM_ID",
        "APPLE_SIGN_IN_PRIVATE_KEY",
    ),
    "GOOGLE_CLIENT_IDS": ("GOOGLE_KEYS_URL",),
}
"""Whoever has set the first one has apps of their own at that provider; the others go with it."""
AI_VARIABLES = (
    *(
        f"{provider}_{variable}"
        for provider in ("OPENAI", "ANTHROPIC", "GOOGLE", "GROQ")
        for variable in ("API_KEY", "BASE_URL")
    ),
    "OPENROUTER_BASE_URL",  # whoever calls brings the key
)
START_WITHIN_SECONDS = 20
READING_SPEED = "60"
"""Tokens a second of an AI stand-in's streams: one sees them come."""


def unset_addresses(environ: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in ADDRESSES if not is_set(environ, name))


def unset_stores(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that stand-ins for Stripe and the App Store would fill in: all of a store, or none."""
    stores = (STRIPE_VARIABLES, APP_STORE_VARIABLES)
    return tuple(name for store in stores if not is_set(environ, store[0]) for name in store)


def unset_sign_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that a stand-in's sign-in would fill in."""
    return tuple(
        name for first, others in SIGN_IN_VARIABLES.items() if not is_set(environ, first) for name in (first, *others)
    )


def unset_ai(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that a stand-in for AI providers would fill in: those of each provider for which a developer chose neither a key
    nor an address, nor the mock of OpenAI.
    """
    chosen = {name.partition("_")[0] for name in AI_VARIABLES if is_set(environ, name)}
    if is_set(environ, "USE_MOCK_OPENAI"):
        chosen.add("OPENAI")
    return tuple(name for name in AI_VARIABLES if name.partition("_")[0] not in chosen)


@dataclass
class Services:
    """Everything lives in `folder`: data of PostgreSQL, and the logs of all in `logs`."""

    folder: Path
    postgres: EmbeddedPostgres | None = field(default=None, init=False)
    valkey: EmbeddedValkey | None = field(default=None, init=False)
    no_valkey: ValkeyUnavailable | None = field(default=None, init=False)
    """Why there is none. Nothing needs one."""
    private_server: ChildProcess | None = field(default=None, init=False)
    stripe: ChildProcess | None = field(default=None, init=False)
    app_store: ChildProcess | None = field(default=None, init=False)
    sign_in: ChildProcess | None = field(default=None, init=False)
    ai: ChildProcess | None = field(default=None, init=False)
    lent_by_ai: dict[str, str] = field(default_factory=dict, init=False)
    """The variables that the AI stand-in filled in."""
    ssh: "DemoSsh | None" = field(default=None, init=False)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def ai_settings(self) -> Path:
        """Where the AI stand-in writes its addresses and keys."""
        return self.folder / "ai" / "settings.json"

    @property
    def ssh_folder(self) -> Path:
        return self.folder / "ssh"

    def start(self, names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
        """Start what those variables stand for and return them with their addresses. `environ` holds the secrets.

        Where there is no Valkey, REDIS_URL stays unset. Raises CannotStart for the others.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        addresses = {}
        for name in names:
            if name == "DATABASE_URL":
                addresses[name] = self._start_postgres()
            elif name == "REDIS_URL":
                addresses |= self._start_valkey()
            else:
                addresses[name] = self._start_private_server(environ)
        return addresses

    def stop(self) -> None:
        """In the opposite order. Stops nothing that was there before."""
        for child in (self.ai, self.sign_in, self.app_store, self.stripe, self.private_server):
            if child is not None:
                child.stop(5)
        if self.ssh is not None:
            self.ssh.stop()
        if self.valkey is not None:
            self.valkey.stop()
        if self.postgres is not None:
            self.postgres.stop()

    def ended(self) -> tuple[str, Path] | None:
        """The name and the log of a server that ended by itself, or None while all run."""
        running: tuple[tuple[str, subprocess.Popen[bytes] | None, str], ...] = (
            ("PostgreSQL", self.postgres.process if self.postgres else None, "postgres"),
            ("Valkey", self.valkey.process if self.valkey else None, "valkey"),
            ("the private server", self.private_server.process if self.private_server else None, "private-server"),
            ("the Stripe stand-in", self.stripe.process if self.stripe else None, "stripe"),
            ("the App Store stand-in", self.app_store.process if self.app_store else None, "app-store"),
            ("the sign-in stand-in", self.sign_in.process if self.sign_in else None, "sign-in"),
            ("the AI stand-in", self.ai.process if self.ai else None, "ai"),
            ("sshd", self.ssh.process if self.ssh else None, "sshd"),
        )
        for name, process, log in running:
            if process is not None and process.poll() is not None:
                return name, self.log_file(log)
        return None

    def log_file(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def _start_postgres(self) -> str:
        self.postgres = EmbeddedPostgres(self.folder / "postgres", log_file=self.log_file("postgres"))
        self.postgres.start()
        return self.postgres.ensure_database(DATABASE)

    def _start_valkey(self) -> dict[str, str]:
        valkey = EmbeddedValkey(self.folder / "valkey", log_file=self.log_file("valkey"))
        try:
            valkey.start()
        except ValkeyUnavailable as reason:
            self.no_valkey = reason
            return {}
        self.valkey = valkey
        return {"REDIS_URL": valkey.url}

    def start_stripe(self, environ: Mapping[str, str], api_url: str) -> dict[str, str]:
        """A stand-in for Stripe that tells the API at `api_url` of payments. Its keys are made here and live as long as it.

        What it knows is kept in `folder`, beside the data of PostgreSQL, which names its objects. Gives the variables that
        the API needs to use it.
        """
        keys = {
            "STRIPE_SECRET_KEY": f"sk_test_{secrets.token_hex(16)}",
            "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(16)}",
        }
        books = self.folder / "stripe" / "books.json"
        command = [sys.executable, "-m", "sandbox.stripe_server", "--port", "0", "--books", str(books)]
        command += ["--keys", str(books.parent), "--notify", f"{api_url}/api/payments/stripe/webhook"]
        log_file = self.log_file("stripe")
        self.stripe = ChildProcess("the Stripe stand-in", command, {**environ, **keys}, ROOT, log_file)
        self.stripe.start()
        url = self.stripe.says(r"^api: (http://\S+)$", START_WITHIN_SECONDS)
        if url is None:
            raise CannotStart(f"The Stripe stand-in did not start; see {log_file}")
        return {**keys, "STRIPE_API_BASE": url, "STRIPE_PRICES": PRICES_SETTING}

    def start_app_store(self, environ: Mapping[str, str], api_url: str) -> dict[str, str]:
        """A stand-in for the App Store that tells the API at `api_url` of purchases. Gives the variables that the API needs to use it.

        It forgets what it sold when it stops: such a subscription still runs to the end of what was paid for.
        """
        folder = self.folder / "app-store"
        command = [sys.executable, "-m", "sandbox.apple_server", "--keys", str(folder)]
        command += ["--notify", f"{api_url}/api/payments/apple/notifications"]
        log_file = self.log_file("app-store")
        self.app_store = ChildProcess("the App Store stand-in", command, environ, ROOT, log_file)
        self.app_store.start()
        if self.app_store.says(r"^keys: (.+)$", START_WITHIN_SECONDS) is None:
            raise CannotStart(f"The App Store stand-in did not start; see {log_file}")
        given: dict[str, str] = json.loads((folder / "settings.json").read_text())
        return given

    def start_sign_in(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Stand-ins for Apple's and Google's sign-in, of which those that `environ` has no apps for are used. Gives the variables
        that the API needs for that.
        """
        wanted = unset_sign_in(environ)
        if not wanted:
            return {}
        settings = self.folder / "sign-in" / "settings.json"
        command = [sys.executable, "-m", "sandbox.identity_server", "--settings", str(settings)]
        log_file = self.log_file("sign-in")
        self.sign_in = ChildProcess("the sign-in stand-in", command, environ, ROOT, log_file)
        self.sign_in.start()
        if self.sign_in.says(r"^settings: (.+)$", START_WITHIN_SECONDS) is None:
            raise CannotStart(f"The Apple and Google sign-in stand-in did not start; see {log_file}")
        given: dict[str, dict[str, str]] = json.loads(settings.read_text())
        return {name: value for each in given.values() for name, value in each.items() if name in wanted}

    def start_ai(self, environ: Mapping[str, str]) -> dict[str, str]:
        """A stand-in for AI providers. Gives the variables that the API needs to use it; its keys are made there and live as long
        as it."""
        wanted = unset_ai(environ)
        settings = self.ai_settings
        command = [sys.executable, "-m", "sandbox.ai_server", "--settings", str(settings)]
        command += ["--tokens-per-second", READING_SPEED]
        log_file = self.log_file("ai")
        self.ai = ChildProcess("the AI stand-in", command, environ, ROOT, log_file)
        self.ai.start()
        if self.ai.says(r"^settings: (.+)$", START_WITHIN_SECONDS) is None:
            raise CannotStart(f"The AI stand-in did not start; see {log_file}")
        given: dict[str, str] = json.loads(settings.read_text())
        self.lent_by_ai = {name: given[name] for name in wanted}
        return self.lent_by_ai

    def start_ssh(self) -> "DemoSsh":
        """An SSH server for terminals. Nobody is let in yet."""
        from sandbox.demo_ssh import start_demo_ssh  # noqa: PLC0415 - asyncssh, which flask run needs not

        self.ssh = start_demo_ssh(self.ssh_folder, self.log_file("sshd"))
        return self.ssh

    def _start_private_server(self, environ: Mapping[str, str]) -> str:
        command = [sys.executable, "-m", "examples.private_server", "--port", "0"]
        log_file = self.log_file("private-server")
        self.private_server = ChildProcess("the private server", command, environ, ROOT, log_file)
        self.private_server.start()
        url = self.private_server.says(r"^private server listening on (http://\S+)$", START_WITHIN_SECONDS)
        if url is None:
            raise CannotStart(f"The reference prediction server did not start; see {log_file}")
        return url

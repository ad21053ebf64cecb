"""The servers for a command that was started without `make run`: `flask run`, `flask db upgrade`, `gunicorn`."""

import atexit
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.cannot_start import CannotStart
from sandbox.claim import Claim, claim_services, holder, published_addresses
from sandbox.development_secrets import development_secrets, is_set
from sandbox.services import ROOT, Services, unset_addresses, unset_ai, unset_sign_in, unset_stores
from sandbox.valkey import ValkeyUnavailable

DATA = ROOT / ".data"
WAIT_SECONDS = 60.0
RELOADED = "WERKZEUG_RUN_MAIN"  # set by the debugger's reloader, which loads the application a second time


class ServicesBusy(CannotStart):
    """Another command runs the embedded servers, but not the ones that are needed here. The message says which."""


def ensure_services(environ: Mapping[str, str], folder: Path = DATA, argv: Sequence[str] = sys.argv) -> dict[str, str]:
    """The variables that `environ` lacks for development: secrets, and addresses of servers, started when nobody runs them.

    A command that goes on running lends its servers to every later one and stops them at its end. A short one, such as
    `flask db upgrade`, starts PostgreSQL alone, lends nothing, and others wait until it is done. Raises CannotStart.
    """
    additions = development_secrets(folder, environ)
    if starts_no_worker(argv) and RELOADED not in environ:
        say(
            "No worker is running: e-mails and payment events wait until you run `flask worker run` in another terminal."
        )
    unset, lasting = unset_addresses(environ), is_lasting(argv)
    needed = unset if lasting else tuple(name for name in unset if name == "DATABASE_URL")
    if not unset:
        return additions
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if claim := claim_services(folder):
            return additions | start_services(claim, folder, needed, {**environ, **additions}, lasting=lasting)
        if (running := published_addresses(folder)) is not None:
            refuse_what_is_missing(running, needed, folder)
            lent = (*unset, *unset_sign_in(environ), *unset_stores(environ), *unset_ai(environ))
            if not is_set(environ, "CAPABILITIES"):
                lent += ("CAPABILITIES",)  # so that a command knows the products that are served
            return additions | {name: running[name] for name in lent if name in running}
        time.sleep(0.05)
    raise ServicesBusy(
        f"Process {holder(folder)} has been starting the embedded servers of this folder for a minute. Stop it, then try again."
    )


def refuse_what_is_missing(running: Mapping[str, str], needed: Sequence[str], folder: Path) -> None:
    """Redis may be missing there, as anywhere."""
    for name in needed:
        if name not in running and name != "REDIS_URL":
            raise ServicesBusy(
                f"Process {holder(folder)} runs the embedded servers of this folder, but not for {name}."
                f" Stop it, or set {name}."
            )


def start_services(
    claim: Claim, folder: Path, needed: Sequence[str], environ: Mapping[str, str], *, lasting: bool
) -> dict[str, str]:
    """Start what is needed. It is stopped when this process ends."""
    services = Services(folder)

    def stop() -> None:
        services.stop()
        claim.release()

    atexit.register(stop)
    addresses = services.start(needed, environ)
    if lasting:
        claim.publish(addresses)
        if addresses:
            say(f"Started for this command, because they are not set: {', '.join(addresses)}. Data and logs: {folder}")
    if services.no_valkey is not None:
        say(without_redis(services.no_valkey))
    return addresses


def without_redis(reason: ValkeyUnavailable) -> str:
    return f"{reason}. Limits are kept in PostgreSQL, just as exact but slower. To use Redis, set REDIS_URL."


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def is_lasting(argv: Sequence[str]) -> bool:
    """Whether the command serves until it is stopped: gunicorn, `flask run`, `flask worker run`."""
    return Path(argv[0]).name == "gunicorn" or "run" in argv[1:]


def starts_no_worker(argv: Sequence[str]) -> bool:
    """Whether it is `flask run`."""
    return "run" in argv[1:] and "worker" not in argv[1:]

"""The servers for a command that was started without `make run`: `flask run`, `flask db upgrade`, `gunicorn`."""

import atexit
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.claim import Claim, claim_services, holder, published_addresses
from sandbox.development_secrets import development_secrets, is_set
from sandbox.services import ROOT, STRIPE_VARIABLES, Services, unset_addresses

DATA = ROOT / ".data"
WAIT_SECONDS = 60.0


class ServicesBusy(Exception):
    """Another command runs the embedded servers, but not the ones that are needed here. The message says which."""


def ensure_services(environ: Mapping[str, str], folder: Path = DATA, argv: Sequence[str] = sys.argv) -> dict[str, str]:
    """The variables that `environ` lacks for development: secrets, and addresses of servers, started when nobody runs them.

    A command that goes on running lends its servers to every later one and stops them at its end. A short one, such as
    `flask db upgrade`, starts PostgreSQL alone, lends nothing, and others wait until it is done.
    """
    additions = development_secrets(folder, environ)
    needed = unset_addresses(environ)
    if not needed:
        return additions
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if claim := claim_services(folder):
            return additions | start_services(claim, folder, {**environ, **additions}, lasting=is_lasting(argv))
        if running := published_addresses(folder):
            if needed[0] not in running:
                break
            lent = needed if is_set(environ, "STRIPE_SECRET_KEY") else (*needed, *STRIPE_VARIABLES)
            return additions | {name: running[name] for name in lent if name in running}
        time.sleep(0.05)
    raise ServicesBusy(
        f"Process {holder(folder)} runs the embedded servers of this folder, but not for {needed[0]}."
        f" Stop it, or set {needed[0]}."
    )


def start_services(claim: Claim, folder: Path, environ: Mapping[str, str], *, lasting: bool) -> dict[str, str]:
    """Start what is needed. It is stopped when this process ends."""
    needed = unset_addresses(environ)
    services = Services(folder)

    def stop() -> None:
        services.stop()
        claim.release()

    atexit.register(stop)
    addresses = services.start(needed if lasting else needed[:1], environ)
    if lasting:
        claim.publish(addresses)
    return addresses


def is_lasting(argv: Sequence[str]) -> bool:
    """Whether the command serves until it is stopped: gunicorn, `flask run`, `flask worker run`."""
    return Path(argv[0]).name == "gunicorn" or "run" in argv[1:]

"""python -m sandbox.identity_server: Apple's and Google's sign-in to develop against, until it is interrupted.

Writes the variables that the API needs into a file that only its owner can read, and prints where everything is.
"""

import argparse
import json
import os
import signal
from pathlib import Path
from threading import Event

from sandbox.identity_server.server import IdentityServer


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.identity_server",
        description="Run stand-ins for Apple and Google sign-in on loopback.",
    )
    parser.add_argument(
        "--settings",
        type=Path,
        default=Path(".data/sign-in/settings.json"),
        help="file for the variables that the API needs (default: .data/sign-in/settings.json)",
    )
    options = parser.parse_args()
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server = IdentityServer()
    server.start()
    try:
        write_settings(server, options.settings)
        print(f"apple: {server.apple_url}\ngoogle: {server.google_url}\nsettings: {options.settings}", flush=True)
        stop.wait()
    finally:
        server.stop()


def write_settings(server: IdentityServer, file: Path) -> None:
    """A key is among them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        json.dump({"apple": server.apple_settings, "google": server.google_settings}, opened)


if __name__ == "__main__":
    main()

"""python -m sandbox.stripe_server: a Stripe to develop against, until it is interrupted.

Its keys are those of STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET, else made up.
"""

import argparse
import os
import signal
from pathlib import Path
from threading import Event

from sandbox.clock import utc_now
from sandbox.stripe_server.development_prices import add_development_prices
from sandbox.stripe_server.server import StripeServer


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.stripe_server", description="Run a Stripe stand-in on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free port)")
    parser.add_argument("--notify", metavar="URL", help="where to send signed events")
    parser.add_argument("--books", type=Path, help="file that keeps all objects between starts")
    parser.add_argument("--keys", type=Path, default=Path(".data/stripe"), help="folder for generated keys")
    options = parser.parse_args()
    server = StripeServer(
        secret_key=os.environ.get("STRIPE_SECRET_KEY"),
        webhook_secret=os.environ.get("STRIPE_WEBHOOK_SECRET"),
        webhook_url=options.notify,
        signing_clock=utc_now,
        port=options.port,
        books_file=options.books,
    )
    add_development_prices(server)
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server.start(deliver_automatically=True)
    try:
        print(describe(server, options.keys), flush=True)
        stop.wait()
    finally:
        server.stop()


def describe(server: StripeServer, folder: Path) -> str:
    """Keys go into files that only their owner can read, not into the terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, secret in {"secret_key": server.secret_key, "webhook_secret": server.webhook_secret}.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(secret)
    return f"api: {server.url}\nkeys: {folder}"


if __name__ == "__main__":
    main()

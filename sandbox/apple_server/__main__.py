"""python -m sandbox.apple_server: an App Store to develop against, until it is interrupted.

Writes the root certificate, the .p8 key and the API's settings of this start into a folder, and prints where everything is.
"""

import argparse
import json
import signal
from pathlib import Path
from threading import Event

from sandbox.apple_server.server import AppleServer


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.apple_server", description="Run an App Store stand-in on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="port of the production store (default: any free port)")
    parser.add_argument("--sandbox-port", type=int, default=0)
    parser.add_argument("--notify", metavar="URL", help="where to send signed notifications")
    parser.add_argument(
        "--keys", type=Path, default=Path(".data/apple"), help="folder for the root certificate and key"
    )
    options = parser.parse_args()
    server = AppleServer(
        notification_url=options.notify, production_port=options.port, sandbox_port=options.sandbox_port
    )
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server.start(deliver_automatically=True)
    try:
        print(describe(server, options.keys), flush=True)
        stop.wait()
    finally:
        server.stop()


def describe(server: AppleServer, folder: Path) -> str:
    """Secrets go into files that only their owner can read, not into the terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    root_certificate = folder.resolve() / "root_certificate.der"
    root_certificate.write_bytes(server.root_certificate)
    for name, secret in {
        "server_api_key.p8": server.api_key.p8,
        "shared_secret": server.app.shared_secret.encode(),
        "settings.json": json.dumps(server.settings(root_certificate)).encode(),
    }.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(secret)
    lines = {
        "production": server.production.url,
        "sandbox": server.sandbox.url,
        "bundle id": server.app.bundle_id,
        "app Apple id": str(server.app.app_apple_id),
        "key id": server.api_key.key_id,
        "issuer id": server.api_key.issuer_id,
        "keys": str(folder),
    }
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


if __name__ == "__main__":
    main()

"""Run the reference prediction server."""

import argparse
import ipaddress
import logging
import os
import signal
import sys
import threading

from examples.private_server.mirror_verifier import read_keys
from examples.private_server.server import PrivateServer
from examples.private_server.switches import Fault, Switches


def main() -> None:
    parser = argparse.ArgumentParser(prog="private_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "9000")))
    parser.add_argument("--path", default=os.environ.get("PRIVATE_API_PATH", "/predict"))
    parser.add_argument("--test-switches", action="store_true", help="allow POST /_switches and GET /_seen, for tests")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer (needs --test-switches)")
    arguments = parser.parse_args()
    if arguments.delay and not arguments.test_switches:
        parser.error("--delay needs --test-switches")
    if arguments.test_switches and not _is_loopback(arguments.host):
        parser.error("--test-switches listens on loopback only: anyone could use them")
    try:
        keys = read_keys(os.environ)
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    threading.stack_size(256 * 1024)  # one thread per connection: 500 slow answers must not reserve 4 GiB
    server = PrivateServer(
        keys,
        host=arguments.host,
        port=arguments.port,
        path=arguments.path,
        test_switches=arguments.test_switches,
    )
    server.switches = Switches(Fault.NONE, delay_seconds=arguments.delay)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    server.start()
    sys.stdout.write(f"private server listening on {server.url}\n")
    sys.stdout.flush()
    stop.wait()
    server.stop()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    main()

"""`flask realtime run` with the toys that hold sockets. With BLOCKBUSTER set, whatever would block the loop raises an error.

SHORTER has constants that a test cannot wait for: JSON, by module and name.
"""

import json
import os
import sys
from importlib import import_module

from flask.cli import ScriptInfo

from app import assemble
from capabilities import CAPABILITIES
from config import load_settings
from tests.realtime.toy_messages import TOY_MESSAGES
from tests.realtime.toy_sockets import TOY_SOCKETS

LOGGING = {"structlog/_output.py": {"msg"}, "security/logs/log.py": {"_write_out"}}
"""Writes a line at a time, to wherever the operator reads them."""
DECLARED = (*CAPABILITIES, TOY_SOCKETS, TOY_MESSAGES)


def main() -> None:
    for name, value in json.loads(os.environ.get("SHORTER", "{}")).items():
        module, _, constant = name.rpartition(".")
        setattr(import_module(module), constant, value)
    app = assemble(load_settings(capabilities=DECLARED), DECLARED)
    if os.environ.get("BLOCKBUSTER"):
        from blockbuster import BlockBuster

        watched = BlockBuster()
        for file, functions in LOGGING.items():
            watched.functions["io.BufferedWriter.write"].can_block_in(file, functions)
        watched.activate()
    app.cli.main(["realtime", "run", *sys.argv[1:]], obj=ScriptInfo(create_app=lambda: app))


if __name__ == "__main__":
    main()

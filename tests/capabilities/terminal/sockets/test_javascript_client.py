"""The client that docs/terminal.md recommends as an example, in Node.js with the WebSocket of `ws`"""

import json
import os
import subprocess

import pytest

from sandbox.ssh_programs import Echo
from tests.capabilities.chat.test_completions_over_http import CLIENTS, NODE
from tests.capabilities.terminal.running_terminal import Customer
from tests.capabilities.terminal.sockets.conftest import PASSWORD, ServerWith, end_sessions, profile_of
from tests.realtime.raw_socket import as_a_proxy
from tests.realtime.realtime_process import RealtimeProcess
from tests.whole.web_server import ROOT

EXAMPLE = ROOT / "capabilities/terminal/page/static/terminal_socket.js"


@pytest.mark.slow
@pytest.mark.skipif(
    NODE is None or not (CLIENTS / "node_modules/ws").is_dir(), reason="make check-openapi installs the client"
)
def test_it_goes_on_after_a_lost_connection(
    realtime: RealtimeProcess, alice: Customer, server_with: ServerWith
) -> None:
    program = Echo()
    made = alice.session(ssh_profile_id=profile_of(alice, server_with(program)))
    address = f"ws{realtime.url.removeprefix('http')}/ws/terminal"
    run = subprocess.run(
        [str(NODE), "open_terminal.mjs", EXAMPLE.as_uri(), address, alice.token, made["id"], PASSWORD],
        cwd=CLIENTS,
        env={"PATH": os.environ["PATH"], "HEADERS": json.dumps(as_a_proxy(None))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    end_sessions(alice)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told == {"shown": "before after ", "reason": "client", "connections": 2, "protocol": "mirroros.terminal.v1"}
    assert bytes(program.typed) == b"before after "
    assert program.sizes[-1] == (30, 100)

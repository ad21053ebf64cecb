"""Socket.IO's own client, which `make check-openapi` installs with the Node.js that runs it."""

import json
import os
import re
import subprocess
from typing import Any

import pytest

from auth.tiers import Tier
from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.running_chat import Customer, RunningChat
from tests.capabilities.chat.test_completions_over_http import CLIENTS, NODE
from tests.whole.web_server import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        NODE is None or not (CLIENTS / "node_modules/socket.io-client").is_dir(),
        reason="make check-openapi installs the client",
    ),
]
TEXT = "Grüße, 世界! 🙂 " * 9
ANSWER = NextAnswer(text=TEXT, chunk_tokens=2)
SNIPPET = """
const socket = io('ws://localhost:3000', {
  auth: {
    token: 'your-jwt-token'
  }
});
"""
"""As apps of the former chat server have it."""


def node(*arguments: str) -> Any:
    run = subprocess.run(
        [str(NODE), *arguments],
        cwd=CLIENTS,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_all_sockets_of_the_owner_are_told_and_no_other(
    realtime: str, running: RunningChat, bob: Customer, transport: str
) -> None:
    owner = running.register(tier=Tier.ENTERPRISE)
    running.ai.next.add(ANSWER, times=2)
    told = node("read_sockets.mjs", realtime, transport, owner.token, bob.token)
    assert told["connected"] == 21
    *texts, others = told["texts"]
    assert (len(texts), set(texts), others) == (20, {TEXT}, "")
    assert (told["refused"]["status"], told["refused"]["error"]) == (404, "not_found")
    assert told["other"] == []
    assert owner.used()["call"] == 2


def test_the_former_servers_example_works_with_another_address(realtime: str, alice: Customer) -> None:
    address = realtime.replace("http://", "ws://")
    example = SNIPPET.replace("ws://localhost:3000", address).replace("your-jwt-token", alice.token)
    script = f"""
        import {{ io }} from "socket.io-client";
        {example}
        socket.on("connect", () => socket.emit("conversation:join", {{ conversation_id: "none" }}, (answer) => {{
          console.log(JSON.stringify(answer));
          socket.disconnect();
        }}));
    """
    assert node("--input-type=module", "--eval", script)["error"] == "validation_failed"


def test_the_example_of_the_docs_reads_on_after_a_lost_connection(
    realtime: str, running: RunningChat, alice: Customer
) -> None:
    conversation_id = alice.send().get_json()["conversation_id"]
    (example,) = re.findall(r"```js\n(.*?)```", (ROOT / "docs/chat.md").read_text(), re.DOTALL)
    script = f"""
        const token = "{alice.token}", conversation_id = "{conversation_id}";
        {example.replace("https://api.example.com", realtime)}
        let text = "", connections = 0, deltas = 0;
        socket.on("connect", () => connections++);
        socket.prependAny((name, event) => {{
          if (name !== "chat:stream") return;
          if (event.type === "delta" && ++deltas === 3) socket.io.engine.close();
          if (event.type === "end") {{
            console.log(JSON.stringify({{ text: unfinished.get(event.message_id), connections }}));
            socket.disconnect();
          }}
        }});
        await socket.emitWithAck("conversation:join", {{ conversation_id }});
        await send("Why is the sky blue?");
    """
    running.ai.next.add(NextAnswer(text=TEXT * 4, chunk_tokens=2, tokens_per_second=60))
    assert node("--input-type=module", "--eval", script) == {"text": TEXT * 4, "connections": 2}

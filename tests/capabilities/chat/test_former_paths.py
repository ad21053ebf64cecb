"""The paths that the chat server documented, on the views of today."""

import pytest

from tests.capabilities.chat.conftest import Start
from tests.capabilities.chat.running_chat import OPENAI_MODEL, RunningChat

CHAT, CONVERSATIONS = "/api/v1/chat", "/api/v1/conversations"


@pytest.mark.slow
def test_they_work(running: RunningChat, start: Start) -> None:
    alice = running.register().elsewhere(start(COMPAT_ROUTES="on"))
    made = alice.call("POST", CONVERSATIONS, json={"title": "Sky"})
    conversation = f"{CONVERSATIONS}/{made.get_json()['id']}"
    sent = alice.call(
        "POST", f"{CHAT}/messages", json={"content": "Why is it blue?", "conversation_id": made.get_json()["id"]}
    )
    reply = f"{CHAT}/messages/{sent.get_json()['reply']['id']}"
    hello = {"model": OPENAI_MODEL, "messages": [{"role": "user", "content": "Hello"}]}
    answers = [
        made,
        sent,
        alice.call("POST", f"{CHAT}/messages/regenerate", json={"conversation_id": made.get_json()["id"]}),
        alice.call("PATCH", reply, json={"rating": 1}),
        alice.call("GET", CONVERSATIONS),
        alice.call("GET", conversation),
        alice.call("PATCH", conversation, json={"title": "The sky"}),
        alice.call("GET", f"{conversation}/messages"),
        alice.call("DELETE", reply),
        alice.call("DELETE", conversation),
        alice.call("POST", f"{CHAT}/completion", json=hello),
        alice.call("GET", f"{CHAT}/models"),
        alice.call("GET", "/api/v1/health/providers"),
        alice.call("GET", "/api/v1/subscriptions/current"),
        alice.call("GET", "/api/v1/subscriptions/plans"),
    ]
    assert [each.status_code for each in answers] == [201, *[200] * 7, 204, 204, *[200] * 5]
    assert all("Deprecation" in each.headers for each in answers)

"""`conversation:updated`: the list of conversations stays true on every device."""

from typing import Any

import pytest

from tests.capabilities.chat.running_chat import Customer
from tests.capabilities.chat.sockets.client import Client, connected, on_a_loop

pytestmark = pytest.mark.slow
CONVERSATIONS = "/api/gateway/conversations"


async def told(client: Client, conversation_id: str, **members: Any) -> dict[str, Any]:
    """As soon as it is told with these members."""

    def right(name: str, payload: dict[str, Any]) -> bool:
        shown = payload.get("conversation") or {}
        return (
            name == "conversation:updated"
            and payload["conversation_id"] == conversation_id
            and all(shown.get(member) == value for member, value in members.items())
        )

    return await client.until(right)


@on_a_loop
async def test_all_sockets_of_the_user_are_told_of_every_change(realtime: str, alice: Customer, bob: Customer) -> None:
    async with (
        connected(realtime, alice.token) as phone,
        connected(realtime, alice.token) as tablet,
        connected(realtime, bob.token) as bobs,
    ):
        made = alice.call("POST", CONVERSATIONS, json={"title": "Plans"}).get_json()
        path = f"{CONVERSATIONS}/{made['id']}"
        for client in (phone, tablet):
            assert (await told(client, made["id"], title="Plans"))["conversation"] == made
        for change in ({"title": "Other plans"}, {"pinned": True}, {"archived": True}):
            changed = alice.call("PATCH", path, json=change).get_json()
            assert (await told(tablet, made["id"], **change))["conversation"] == changed
        sent = alice.send(conversation_id=made["id"]).get_json()
        await told(tablet, made["id"], message_count=2, current_leaf_id=sent["reply"]["id"])
        alice.call("DELETE", f"/api/gateway/chat/messages/{sent['message']['id']}")
        await told(tablet, made["id"], message_count=0)
        alice.call("DELETE", path)
        for client in (phone, tablet):
            deleted = await client.until(lambda _, payload: payload.get("deleted"))
            assert deleted == {"conversation_id": made["id"], "deleted": True, "conversation": None}
        await bobs.ask("conversation:leave", conversation_id=made["id"])
        assert bobs.told == []

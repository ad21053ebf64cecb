"""GET /api/gateway/conversations/{id}/export."""

import pytest

from capabilities.chat.conversations.bodies import ConversationExport
from capabilities.chat.models import MessageState
from tests.capabilities.chat.conversations.chats import Person

PORTION = "capabilities.chat.conversations.export.PORTION"


@pytest.mark.parametrize("portion", [1, 3, 50])
def test_json_has_every_branch(alice: Person, portion: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PORTION, portion)
    talk = alice.begins('A "question"')
    talk.say("ä\n😀 \\ <b>")
    talk.say("another", talk.ids[0])
    answer = alice.get(f"{talk.path}/export")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="conversation-{talk.id}.json"'
    told = ConversationExport.model_validate_json(answer.data)
    assert [each.content for each in told.messages] == ['A "question"', "ä\n😀 \\ <b>", "another"]
    assert answer.get_json()["conversation"] == talk.read()
    listed = alice.get(f"{talk.path}/messages", branch="all").get_json()["messages"]
    assert answer.get_json()["messages"] == listed[::-1]


def test_markdown_has_the_current_branch(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PORTION, 2)
    talk = alice.begins("Where is Rome?")
    talk.say("in another branch")
    talk.say("In *Italy*.", talk.ids[0], state=MessageState.STOPPED)
    talk.say("Thanks — è bella!")
    alice.patch(talk.path, {"system_prompt": "Be brief"})
    answer = alice.get(f"{talk.path}/export", format="markdown")
    assert answer.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="conversation-{talk.id}.md"'
    assert answer.get_data(as_text=True) == (
        "# Where is Rome?\n"
        "\n## Instructions\n\nBe brief\n"
        "\n## You, 01 March 2026, 12:00 UTC\n\nWhere is Rome?\n"
        "\n## Assistant, 01 March 2026, 12:02 UTC\n\nIn *Italy*.\n"
        "\n## You, 01 March 2026, 12:03 UTC\n\nThanks — è bella!\n"
    )


def test_one_without_messages_can_be_exported(alice: Person) -> None:
    made = alice.post("/conversations", {}).get_json()
    path = f"/conversations/{made['id']}/export"
    assert alice.get(path).get_json() == {"conversation": made, "messages": []}
    assert alice.get(path, format="markdown").text == "# Conversation\n"


def test_other_formats_are_refused(alice: Person) -> None:
    assert alice.get(f"{alice.begins().path}/export", format="pdf").status_code == 422

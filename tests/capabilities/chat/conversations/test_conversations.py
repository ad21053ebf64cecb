"""/api/gateway/conversations: made, listed, read, changed, deleted."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from auth.tiers import Tier
from capabilities.chat.conversations.title import LONGEST_TITLE
from capabilities.chat.models import MessageState
from tests.capabilities.chat.conversations.chats import BASE, BEGINNING, Chats, Person, Talk

NEW = {
    "title": None,
    "title_source": None,
    "system_prompt": None,
    "model": None,
    "max_tokens": None,
    "temperature": None,
    "pinned": False,
    "archived": False,
    "current_leaf_id": None,
    "message_count": 0,
}


def titles(person: Person, **query: object) -> list[str | None]:
    answer = person.get("/conversations", **query)
    assert answer.status_code == 200, answer.text
    return [each["title"] for each in answer.get_json()["conversations"]]


def test_one_is_made_and_read(alice: Person) -> None:
    made = alice.post("/conversations", {})
    assert made.status_code == 201, made.text
    told = made.get_json()
    assert {name: told[name] for name in NEW} == NEW
    assert told["last_message_at"] == told["created_at"] == told["updated_at"]
    assert alice.get(f"/conversations/{told['id']}").get_json() == told


def test_one_is_made_with_everything(alice: Person) -> None:
    fields = {
        "title": "Holidays",
        "system_prompt": "Be brief.\nBe kind.",
        "model": "fast",
        "max_tokens": 1024,
        "temperature": 0.5,
        "pinned": True,
    }
    told = alice.post("/conversations", fields).get_json()
    assert {name: told[name] for name in fields} == fields
    assert told["title_source"] == "user"


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("  \n Where is Rome?  \nAnd Paris?", "Where is Rome?"),
        ("x" * LONGEST_TITLE, "x" * LONGEST_TITLE),
        ("y" * (LONGEST_TITLE + 1), "y" * (LONGEST_TITLE - 1) + "…"),
    ],
)
def test_a_title_is_the_first_line_of_the_first_message(alice: Person, content: str, title: str) -> None:
    talk = alice.begins(content)
    talk.say("Something else")
    told = talk.read()
    assert (told["title"], told["title_source"], told["message_count"]) == (title, "first_message", 2)


def test_a_title_of_the_user_stays_until_it_is_given_up(alice: Person) -> None:
    talk = alice.begins("Where is Rome?")
    renamed = alice.patch(talk.path, {"title": " Rome "}).get_json()
    assert (renamed["title"], renamed["title_source"]) == ("Rome", "user")
    talk.say("In Italy")
    assert talk.read()["title"] == "Rome"
    again = alice.patch(talk.path, {"title": None}).get_json()
    assert (again["title"], again["title_source"]) == ("Where is Rome?", "first_message")
    empty = alice.post("/conversations", {"title": "Empty"}).get_json()
    assert alice.patch(f"/conversations/{empty['id']}", {"title": None}).get_json()["title_source"] is None


def test_only_what_is_sent_is_changed(alice: Person) -> None:
    talk = alice.begins()
    before = alice.patch(talk.path, {"system_prompt": "Be brief", "temperature": 0, "max_tokens": 5}).get_json()
    assert alice.patch(talk.path, {}).get_json() == {**before, "updated_at": talk.read()["updated_at"]}
    after = alice.patch(talk.path, {"system_prompt": None, "pinned": True}).get_json()
    changed = {"system_prompt": None, "pinned": True, "updated_at": after["updated_at"]}
    assert after == {**before, **changed}


def test_archived_ones_are_listed_apart(alice: Person) -> None:
    kept, put_away = alice.begins("kept"), alice.begins("put away")
    assert alice.patch(put_away.path, {"archived": True}).get_json()["archived"] is True
    assert (titles(alice), titles(alice, archived="true")) == (["kept"], ["put away"])
    alice.patch(kept.path, {"pinned": True})
    assert (titles(alice, pinned="true"), titles(alice, pinned="false")) == (["kept"], [])
    alice.patch(put_away.path, {"archived": False})
    assert titles(alice) == ["put away", "kept"]


def test_the_list_has_the_newest_message_first_page_by_page(alice: Person, bob: Person) -> None:
    bob.begins("not hers")
    talks = [alice.begins(str(number), BEGINNING + timedelta(minutes=number // 2)) for number in range(7)]
    talks[2].now = BEGINNING + timedelta(hours=1)
    talks[2].say("something new")
    seen: list[Any] = []
    cursor: dict[str, str] = {}
    for _ in range(10):
        page = alice.get("/conversations", limit=2, **cursor).get_json()
        seen += [each["title"] for each in page["conversations"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == ["2", "6", "5", "4", "3", "1", "0"]


def test_a_page_goes_on_where_the_last_one_ended_whatever_became_of_its_last_row(alice: Person) -> None:
    talks = [alice.begins(str(number), BEGINNING + timedelta(minutes=number)) for number in range(4)]
    cursor = alice.get("/conversations", limit=2).get_json()["next_cursor"]
    talks[2].now = BEGINNING + timedelta(hours=1)
    talks[2].say("now it is the first")
    assert titles(alice, cursor=cursor) == ["1", "0"]
    assert alice.delete(talks[2].path).status_code == 204
    assert titles(alice, cursor=cursor) == ["1", "0"]


def test_a_switch_to_another_version_shows_its_newest_branch(alice: Person) -> None:
    talk = alice.begins("question")
    first = talk.say("first answer")
    talk.say("and then?")
    deep = talk.say("deep")
    second = talk.say("second answer", talk.ids[0])
    assert talk.read()["current_leaf_id"] == str(second)
    shown = alice.patch(talk.path, {"current_leaf_id": str(first)}).get_json()
    assert shown["current_leaf_id"] == str(deep)
    assert talk.contents() == ["deep", "and then?", "first answer", "question"]


def test_a_leaf_must_be_of_the_conversation(alice: Person, bob: Person) -> None:
    talk, other, foreign = alice.begins(), alice.begins(), bob.begins()
    for leaf in (other.ids[0], foreign.ids[0], uuid4()):
        assert alice.patch(talk.path, {"current_leaf_id": str(leaf)}).status_code == 404
    assert talk.read()["current_leaf_id"] == str(talk.ids[0])


def test_one_goes_with_its_messages(alice: Person, chats: Chats) -> None:
    talk = alice.begins()
    talk.say("an answer", state=MessageState.STREAMING)
    assert alice.delete(talk.path).status_code == 204
    assert alice.get(talk.path).status_code == 404
    assert chats.rows("SELECT id FROM chat_messages WHERE user_id = :user", user=alice.id) == []
    assert alice.delete(talk.path).status_code == 404


def test_all_go_only_when_that_is_said_and_the_sign_in_is_fresh(
    alice: Person, bob: Person, chats: Chats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capabilities.chat.conversations.delete.PORTION", 2)
    for number in range(5):
        alice.begins(str(number)).say("answer")
    kept = bob.begins()
    assert [alice.delete("/conversations", **query).status_code for query in ({}, {"all": "false"})] == [422, 422]
    ((session,),) = (
        tuple(row.values()) for row in chats.rows("SELECT id FROM sessions WHERE user_id = :id", id=alice.id)
    )
    now = datetime.now(UTC)
    stale = chats.made.auth.access_tokens.issue(
        user_id=alice.id, session_id=session, auth_time=now - timedelta(minutes=6), not_after=now + timedelta(hours=1)
    )
    refused = alice.call("DELETE", "/conversations?all=true", token=stale.text)
    assert (refused.status_code, refused.get_json()["error"]) == (401, "insufficient_user_authentication")
    assert alice.call("DELETE", "/conversations?all=true", token=alice.key("chat")).status_code in {401, 403}
    assert len(titles(alice)) == 5
    assert alice.delete("/conversations", all="true").status_code == 204
    assert (titles(alice), kept.read()["message_count"]) == ([], 1)


def test_a_key_with_the_scope_may_and_others_may_not(alice: Person) -> None:
    talk, chat, usage = alice.begins(), alice.key("chat"), alice.key("usage")
    for path in ("/conversations", talk.path, f"{talk.path}/messages", f"{talk.path}/export", "/chat/search?q=x"):
        assert alice.call("GET", path, token=chat).status_code == 200
        refused = alice.call("GET", path, token=usage)
        assert (refused.status_code, refused.get_json()["error"]) == (403, "insufficient_scope")


def test_staff_who_look_through_an_account_see_no_chats(alice: Person, bob: Person, chats: Chats) -> None:
    talk = alice.begins()
    chats.flask("users", "set-role", bob.email, "support")
    begun = chats.app.test_client().post(
        "/api/auth/admin/impersonate",
        json={"user_id": str(alice.id), "reason": "Ticket 4711: a chat is gone"},
        headers={"Authorization": f"Bearer {bob.token}"},
        base_url=BASE,
    )
    token = begun.get_json()["access_token"]
    for path in ("/conversations", talk.path, f"{talk.path}/messages", f"{talk.path}/export", "/chat/search?q=hello"):
        refused = alice.call("GET", path, token=token)
        assert (refused.status_code, refused.get_json()["error"]) == (403, "impersonation_read_only")


FOREIGN: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("GET", "{talk}", None),
    ("PATCH", "{talk}", {"pinned": True}),
    ("DELETE", "{talk}", None),
    ("GET", "{talk}/messages", None),
    ("GET", "{talk}/messages?branch=all", None),
    ("GET", "{talk}/export", None),
    ("GET", "{talk}/export?format=markdown", None),
    ("PATCH", "/chat/messages/{message}", {"content": "stolen"}),
    ("DELETE", "/chat/messages/{message}", None),
)


def test_what_is_somebody_elses_is_not_there(alice: Person, bob: Person) -> None:
    talk = alice.begins()
    before = talk.read()
    for method, path, body in FOREIGN:
        foreign = bob.call(method, path.format(talk=talk.path, message=talk.ids[0]), json=body)
        unknown = bob.call(method, path.format(talk=f"/conversations/{uuid4()}", message=uuid4()), json=body)
        assert (foreign.status_code, unknown.status_code) == (404, 404), (method, path)
        assert foreign.get_json()["detail"] == unknown.get_json()["detail"]
    assert (talk.read(), talk.contents()) == (before, ["Hello"])


LONG = "x" * 8_001


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"title": ""}, "/title"),
        ({"title": "two\nlines"}, "/title"),
        ({"title": "x" * 101}, "/title"),
        ({"system_prompt": LONG}, "/system_prompt"),
        ({"system_prompt": ""}, "/system_prompt"),
        ({"system_prompt": "  "}, "/system_prompt"),
        ({"model": "gpt-7-nova"}, "/model"),
        ({"model": ""}, "/model"),
        ({"max_tokens": 0}, "/max_tokens"),
        ({"max_tokens": -1}, "/max_tokens"),
        ({"max_tokens": 1.5}, "/max_tokens"),
        ({"max_tokens": "5"}, "/max_tokens"),
        ({"temperature": 2.1}, "/temperature"),
        ({"temperature": -0.1}, "/temperature"),
        ({"pinned": None}, "/pinned"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_fields_that_no_conversation_has(talker: Talk, body: dict[str, Any], pointer: str) -> None:
    before, person = talker.read(), talker.person
    for refused in (person.post("/conversations", body), person.patch(talker.path, body)):
        assert refused.status_code == 422, refused.text
        assert [each["pointer"] for each in refused.get_json()["errors"]] == [pointer]
    assert (talker.read(), len(titles(person))) == (before, 1)


@pytest.mark.parametrize("body", [{"current_leaf_id": None}, {"current_leaf_id": "x"}, {"archived": None}])
def test_changes_that_no_conversation_takes(talker: Talk, body: dict[str, Any]) -> None:
    assert talker.person.patch(talker.path, body).status_code == 422


@pytest.mark.parametrize("text", [r"a\u0000b", r"\ud800"])
def test_texts_that_no_database_takes(talker: Talk, text: str) -> None:
    body = f'{{"system_prompt": "{text}"}}'
    refused = talker.person.call("POST", "/conversations", data=body, content_type="application/json")
    assert (refused.status_code, refused.get_json()["error"]) == (400, "malformed_json")


def test_a_conversation_is_set_to_what_the_plan_includes(chats: Chats, alice: Person) -> None:
    carol, talk = chats.register(Tier.PRO), alice.begins()
    refusals: dict[str, tuple[dict[str, Any], int]] = {
        "max_tokens_above_plan": ({"max_tokens": 1025}, 422),
        "feature_not_in_tier": ({"model": "gpt-6-sol"}, 403),
        "model_unavailable": ({"model": "claude-haiku-4-5"}, 503),
    }
    for error, (body, status) in refusals.items():
        for refused in (alice.post("/conversations", body), alice.patch(talk.path, body)):
            assert (refused.status_code, refused.get_json()["error"]) == (status, error)
    assert carol.post("/conversations", {"max_tokens": 8192}).status_code == 201
    assert carol.post("/conversations", {"max_tokens": 8193}).status_code == 422


@pytest.mark.parametrize(
    "query",
    [{"cursor": "x"}, {"cursor": str(uuid4()).upper()}, {"limit": 0}, {"limit": 201}, {"archived": "yes"}, {"x": 1}],
)
def test_queries_that_no_list_takes(talker: Talk, query: dict[str, object]) -> None:
    assert talker.person.get("/conversations", **query).status_code == 422


def test_any_cursor_is_a_place(alice: Person) -> None:
    for cursor in ("0" * 32, "f" * 32):
        written = f"{cursor[:8]}-{cursor[8:12]}-{cursor[12:16]}-{cursor[16:20]}-{cursor[20:]}"
        assert alice.get("/conversations", cursor=written).status_code == 200

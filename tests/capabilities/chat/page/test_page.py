"""The page's own routes: who gets what, and what the token of its script opens."""

import re

import pytest

from auth.account_change import account_change
from auth.lock_out.lock_out import lock_out
from auth.models import User
from sandbox.ai_server.next_answers import NextAnswer
from tests.admin.dashboard import BASE, PAGE, Dashboard
from tests.auth.accounts_app import bearer
from tests.canary import PROMPT
from tests.capabilities.chat.page.conftest import PATH, Visitor, new_visitor
from tests.capabilities.chat.running_chat import MESSAGES, RunningChat

CHAT = "/api/gateway/chat/usage"
SOME_ID = "0192f0c1-7d7e-7a51-8d1b-3f6a2f1e9c55"


def test_the_short_address_leads_to_the_page(running: RunningChat) -> None:
    answer = running.app.test_client().get("/chat", base_url=BASE, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, PATH)


def test_a_stranger_signs_in_and_comes_back_to_the_conversation(running: RunningChat) -> None:
    answer = running.app.test_client().get(f"{PATH}/{SOME_ID}", base_url=BASE, headers=PAGE)
    assert answer.status_code == 401
    assert f'name="leads_to" value="{PATH}/{SOME_ID}"' in answer.text


def test_the_page_has_nothing_but_assets_of_its_own_and_no_token(visitor: Visitor) -> None:
    page = visitor.staff.get(PATH)
    policy = page.headers["Content-Security-Policy"]
    assert page.status_code == 200
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy and "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert (
        re.findall(
            r"<script(?! (?:type=\"module\" )?src=\"/)|<style| style=| on\w+=|https?://(?!www\.w3\.org/)", page.text
        )
        == []
    )
    assert "eyJ" not in page.text
    for name in ("chat.js", "chat_api.js", "page_api.js", "chat_list.js", "chat_message.js", "chat_reply.js"):
        script = visitor.staff.client.get(f"{PATH}/assets/{name}", base_url=BASE)
        assert (script.status_code, script.headers["Cache-Control"]) == (200, "public, no-cache")
        assert re.findall(r"localStorage|sessionStorage|document\.cookie|indexedDB|\beval\b", script.text) == []


def test_its_token_opens_chat_and_nothing_else(visitor: Visitor) -> None:
    given = visitor.ask_for_token().get_json()
    visitor.token = given["access_token"]
    assert 0 < given["expires_in"] <= 900
    assert visitor.call("GET", CHAT).status_code == 200
    for method, path in (
        ("GET", "/api/auth/profile"),
        ("GET", "/api/auth/tokens"),
        ("POST", "/api/auth/tokens"),
        ("GET", "/api/auth/sessions"),
        ("POST", "/api/auth/logout"),
        ("POST", "/api/gateway/predict"),
        ("POST", "/api/gateway/solve"),
        ("GET", "/api/gateway/usage/summary"),
        ("DELETE", "/api/gateway/conversations?all=true"),
        ("GET", "/api/payments/subscription"),
    ):
        answer = visitor.call(method, path)
        assert (answer.status_code, answer.get_json()["error"]) == (403, "insufficient_scope"), path


def test_without_the_form_token_of_the_page_there_is_none(visitor: Visitor) -> None:
    assert visitor.ask_for_token(csrf=False).status_code == 403


def test_a_lock_out_ends_the_page_and_its_token(visitor: Visitor, running: RunningChat) -> None:
    assert visitor.call("GET", CHAT).status_code == 200
    auth = Dashboard(running.app).auth
    with running.app.app_context(), account_change(auth.states, auth.clock()) as change:
        user = change.session.get(User, visitor.user_id)
        assert user is not None
        lock_out(auth, change, user, "revoked")
    assert visitor.call("GET", CHAT).status_code == 401
    assert visitor.staff.get(PATH).status_code == 401
    assert visitor.ask_for_token().status_code == 401


def test_a_token_of_the_api_does_not_open_the_page(visitor: Visitor, running: RunningChat) -> None:
    """So nobody who looks through an account sees its chats there either."""
    visitor.call("GET", CHAT)
    for path in (PATH, f"{PATH}/{SOME_ID}/messages"):
        answer = running.app.test_client().get(path, base_url=BASE, headers=bearer(visitor.token))
        assert answer.status_code == 401


def test_replies_come_with_their_html_and_what_the_user_wrote_does_not(running: RunningChat, visitor: Visitor) -> None:
    running.ai.next.add(NextAnswer(text="# Hi\n\n<script>alert(1)</script> [x](javascript:alert(1))"))
    sent = visitor.send("**me**")
    listed = visitor.shown(f"/{sent['conversation_id']}/messages").get_json()
    reply, mine = listed["messages"]
    assert (mine["content"], mine["html"]) == ("**me**", None)
    assert reply["html"] == ("<h3>Hi</h3>\n<p>&lt;script&gt;alert(1)&lt;/script&gt; [x](javascript:alert(1))</p>\n")
    assert visitor.shown(f"/messages/{reply['id']}").get_json() == reply
    assert listed["next_cursor"] is None


def test_a_reply_that_failed_says_why_in_words(running: RunningChat, visitor: Visitor) -> None:
    running.ai.next.add(NextAnswer(text="some words of it", cut_after_chunks=1))
    failed = visitor.call("POST", MESSAGES, json={"content": "hello", "model": "gpt-6-luna"})
    assert failed.status_code >= 500
    [conversation] = visitor.call("GET", "/api/gateway/conversations").get_json()["conversations"]
    reply, _ = visitor.shown(f"/{conversation['id']}/messages").get_json()["messages"]
    assert reply["state"] == "failed"
    assert reply["failure"] == failed.get_json()["message"]


def test_nobody_sees_what_is_somebody_elses(running: RunningChat, visitor: Visitor) -> None:
    sent = visitor.send()
    other = new_visitor(running)
    assert other.shown(f"/{sent['conversation_id']}/messages").status_code == 404
    assert other.shown(f"/messages/{sent['reply']['id']}").status_code == 404


@pytest.mark.parametrize("query", ["?limit=0", "?cursor=x", "?branch=all", "?x=1"])
def test_a_query_that_is_not_valid_is_told(visitor: Visitor, query: str) -> None:
    assert visitor.shown(f"/{SOME_ID}/messages{query}").status_code == 422


def test_what_was_asked_is_in_no_log(running: RunningChat, visitor: Visitor) -> None:
    """The canary of the tests reads what was printed and logged."""
    running.ai.next.add(NextAnswer(text=f"You asked: {PROMPT}"))
    sent = visitor.send(PROMPT)
    assert PROMPT in visitor.shown(f"/{sent['conversation_id']}/messages").text
    assert visitor.shown(f"/messages/{sent['reply']['id']}").status_code == 200
    assert visitor.shown(f"/{sent['conversation_id']}/messages?cursor={PROMPT}").status_code == 422

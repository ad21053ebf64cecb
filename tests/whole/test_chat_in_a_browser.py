"""The chat page in a real browser, under the policy that production sends, beside the stand-in for AI providers."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.browser import CHROMIUM, complaints_of
from tests.conftest import administer
from tests.databases import MigratedDatabases, ask
from tests.whole.environment import ai_environment, production_environment
from tests.whole.line import Line
from tests.whole.test_dashboard_in_a_browser import FINDINGS
from tests.whole.web_server import Person, WebServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
REFUSED = re.compile(r"error: Failed to load resource: (?:the server responded with a status of 4\d\d|net::ERR_)")
"""What Chromium says of an answer that the page shows as a problem, and of a connection that is lost."""
SLOW = NextAnswer(text="The sky is blue because air scatters short waves most. " * 4, tokens_per_second=20)
"""Three seconds."""


@dataclass(frozen=True)
class Behind:
    """What stands behind the browser. It is started once: each test has a person of its own."""

    server: WebServer
    ai: AIServer
    database_url: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def person(self, tier: str = "team") -> Person:
        person = self.server.register("alice")
        administer(
            self.database_url,
            f"UPDATE users SET tier = '{tier}', state_version = state_version + 1 WHERE id = '{person.user_id}'",
        )
        return person

    def stored(self, person: Person) -> list[str]:
        """What the models wrote to them, the first reply first."""
        rows = ask(
            self.database_url,
            f"SELECT content FROM chat_messages WHERE user_id = '{person.user_id}' AND role = 'assistant' ORDER BY id",
        )
        return [row[0] for row in rows]


@pytest.fixture(scope="module")
def behind(
    migrated_databases: MigratedDatabases, valkey_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Behind]:
    ai = AIServer()
    with migrated_databases.one() as database_url, ExitStack() as running:
        running.callback(ai.stop)
        ai.start()
        environ = {
            **production_environment(database_url, "https://predict.example.com", valkey_server),
            **ai_environment(ai),
            "CHAT_DEFAULT_MODEL": "gpt-6-luna",
        }
        server = WebServer(environ, tmp_path_factory.mktemp("chat"))
        running.callback(server.stop)
        server.start()
        yield Behind(server, ai, database_url)


@pytest.fixture
def page(behind: Behind, browser: Browser) -> Iterator[Page]:
    behind.ai.next.clear()
    context = browser.new_context(base_url=behind.address, viewport=DESKTOP)  # type: ignore[arg-type]
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    complaints = complaints_of(page, behind.address)
    yield page
    context.close()
    assert [each for each in complaints if not REFUSED.match(each)] == []


def open_chat(page: Page, person: Person) -> None:
    """By the short address, which asks for the sign-in."""
    page.goto("/chat")
    page.get_by_label("E-mail address").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile("/portal/chat$"))


def send(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def replies(page: Page) -> Locator:
    return page.locator(".message.assistant .content")


def until_ended(page: Page) -> None:
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible(timeout=20_000)
    expect(page.locator(".message.running")).to_have_count(0)


def act(page: Page, name: str) -> None:
    page.get_by_label("Actions of this conversation").click()
    page.get_by_role("button", name=name, exact=True).click()


def look_over(page: Page) -> None:
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert page.evaluate(FINDINGS) == [], f"{page.url} at {size['width']}"


def test_a_reply_is_streamed_and_taken_up_again_after_a_reload(page: Page, behind: Behind) -> None:
    person = behind.person()
    open_chat(page, person)
    look_over(page)
    behind.ai.next.add(SLOW)
    send(page, "Why is the sky blue?")
    expect(replies(page)).to_contain_text("The sky is blue")
    page.reload()
    expect(page.get_by_role("button", name="Stop the reply")).to_be_visible()
    expect(replies(page)).to_contain_text("The sky is blue")
    page.get_by_role("link", name="New chat").click()
    expect(page.locator(".message")).to_have_count(0)
    page.go_back()
    expect(replies(page)).to_contain_text("The sky is blue")
    until_ended(page)
    [stored] = behind.stored(person)
    assert replies(page).inner_text() == stored.strip()
    expect(page.get_by_role("heading", name="Why is the sky blue?")).to_be_visible()
    look_over(page)


def test_a_reply_is_stopped_and_what_came_is_kept(page: Page, behind: Behind) -> None:
    person = behind.person()
    open_chat(page, person)
    behind.ai.next.add(NextAnswer(text="on and on ", endless=True, tokens_per_second=30))
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.get_by_label("Message", exact=True).fill("Talk")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(replies(page)).to_contain_text("on and on on")
    page.get_by_role("button", name="Stop the reply").click()
    until_ended(page)
    expect(page.locator(".message.assistant .state")).to_have_text("Stopped.")
    [stored] = behind.stored(person)
    assert replies(page).inner_text() == stored.strip()


def test_versions_are_made_switched_edited_and_rated(page: Page, behind: Behind) -> None:
    open_chat(page, behind.person())
    for text in ("first version", "second version", "reply to the edit"):
        behind.ai.next.add(NextAnswer(text=text))
    send(page, "hello")
    until_ended(page)
    page.get_by_role("button", name="Write another version").click()
    expect(replies(page)).to_have_text("second version")
    reply = page.locator(".message.assistant")
    expect(reply.locator(".versions")).to_contain_text("2/2")
    reply.get_by_role("button", name="Previous version").click()
    expect(replies(page)).to_have_text("first version")
    expect(reply.locator(".versions")).to_contain_text("1/2")
    reply.get_by_role("button", name="Good reply").click()
    expect(reply.get_by_role("button", name="Good reply")).to_have_attribute("aria-pressed", "true")
    page.locator(".message.user").hover()
    page.get_by_role("button", name="Edit and send again").click()
    page.get_by_label("Edit your message").fill("hello again")
    page.get_by_role("button", name="Send again").click()
    expect(replies(page)).to_have_text("reply to the edit")
    mine = page.locator(".message.user")
    expect(mine.locator(".versions")).to_contain_text("2/2")
    mine.get_by_role("button", name="Previous version").click()
    expect(replies(page)).to_have_text("second version")  # the newest below it
    reply.get_by_role("button", name="Previous version").click()
    expect(replies(page)).to_have_text("first version")
    expect(reply.get_by_role("button", name="Good reply")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(replies(page)).to_have_text("first version")
    look_over(page)


def test_conversations_are_found_renamed_kept_and_deleted(page: Page, behind: Behind, tmp_path: Path) -> None:
    open_chat(page, behind.person())
    behind.ai.next.add(NextAnswer(text="A **zebra** has stripes."))
    send(page, "Which animal has stripes?")
    until_ended(page)
    expect(replies(page).locator("strong")).to_have_text("zebra")
    page.get_by_role("link", name="New chat").click()
    send(page, "Something else")
    until_ended(page)
    page.get_by_label("Search your messages").fill("zebra")
    found = page.locator(".found a")
    expect(found).to_have_count(1)
    expect(found.locator("mark")).to_have_text("zebra")
    look_over(page)
    found.click()
    expect(page.locator(".message.assistant")).to_be_focused()
    page.get_by_label("Search your messages").fill("")

    act(page, "Rename")
    page.get_by_role("textbox", name="Name").fill("Stripes")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("heading", name="Stripes")).to_be_visible()
    act(page, "Pin")
    expect(page.locator("#pinned a")).to_have_text("Stripes")
    for name, ending in (("Download as JSON", "json"), ("Download as Markdown", "md")):
        with page.expect_download() as waiting:
            act(page, name)
        waiting.value.save_as(tmp_path / f"kept.{ending}")
        assert waiting.value.suggested_filename.endswith(f".{ending}")
    assert json.loads((tmp_path / "kept.json").read_text())["conversation"]["title"] == "Stripes"
    assert "A **zebra** has stripes." in (tmp_path / "kept.md").read_text()

    act(page, "Archive")
    expect(page.locator("#pinned a")).to_have_count(0)
    page.get_by_role("button", name="Archived").click()
    expect(page.locator("#recent a")).to_have_text("Stripes")
    page.get_by_role("button", name="Archived").click()
    expect(page.locator("#recent a")).to_have_text("Something else")
    act(page, "Delete")
    expect(page.get_by_role("dialog")).to_contain_text("“Stripes” and all its messages will be deleted")
    look_over(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Stripes")).to_be_visible()
    act(page, "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="New chat")).to_be_visible()
    expect(page).to_have_url(re.compile("/portal/chat$"))


@pytest.mark.parametrize("tokens_per_second", [20, None])
def test_a_connection_that_is_lost_comes_back_by_itself(
    browser: Browser, behind: Behind, tokens_per_second: float | None
) -> None:
    """In the middle of a reply; and before its first word, when it is over before the connection is back."""
    person, line = behind.person(), Line(behind.server.port)
    address = f"http://127.0.0.1:{line.port}"
    page = browser.new_page(base_url=address)
    complaints = complaints_of(page, address)
    open_chat(page, person)
    behind.ai.next.clear()
    behind.ai.next.add(replace(SLOW, tokens_per_second=tokens_per_second, hold=tokens_per_second is None))
    send(page, "Why is the sky blue?")
    if tokens_per_second is None:
        expect(page.get_by_role("heading", name="Why is the sky blue?")).to_be_visible()
    else:
        expect(replies(page)).to_contain_text("The sky")
    line.cut()
    behind.ai.next.release()
    expect(page.locator(".message.assistant .state")).to_contain_text("The connection was lost")
    line.mended.set()
    until_ended(page)
    [stored] = behind.stored(person)
    assert replies(page).inner_text() == stored.strip()
    expect(page.locator(".message.assistant .state")).to_be_hidden()
    page.close()
    line.close()
    assert [each for each in complaints if not REFUSED.match(each)] == []


def test_what_is_refused_says_why_and_nothing_typed_is_lost(page: Page, behind: Behind) -> None:
    open_chat(page, behind.person("free"))
    expect(page.get_by_text("20 of 20 left")).to_be_visible()
    expect(page.locator("#model option", has_text="plus and above").first).to_be_disabled()
    long = "word " * 6000
    send(page, long)
    expect(page.get_by_role("alert")).to_contain_text("Your plan and this model allow")
    expect(page.get_by_role("link", name="See what your plan allows")).to_have_attribute("href", "/portal")
    expect(page.get_by_label("Message", exact=True)).to_have_value(long)
    expect(page.locator(".message")).to_have_count(0)
    look_over(page)
    behind.ai.next.add(NextAnswer(status=500))
    send(page, "hello")
    expect(page.locator(".state.bad")).to_contain_text("It was not counted.")
    look_over(page)
    behind.ai.next.add(NextAnswer(text="there it is"))
    page.get_by_role("button", name="Write another version").click()
    expect(replies(page)).to_have_text("there it is")
    expect(page.get_by_text("19 of 20 left")).to_be_visible()


def test_what_a_model_writes_runs_and_loads_nothing(page: Page, behind: Behind) -> None:
    """The page would complain of a script, a style or a picture that its policy refuses."""
    open_chat(page, behind.person())
    hostile = (
        "<script>alert(1)</script><img src=https://evil.example.com/x onerror=alert(1)>\n\n"
        "![picture of it](https://evil.example.com/x.png) [click](javascript:alert(1))\n\n"
        '| a |\n|--:|\n| <style>*{color:red}</style> |\n\n```html" onclick=alert(1)\n<script>alert(1)</script>\n```\n'
    )
    behind.ai.next.add(NextAnswer(text=hostile))
    send(page, "<b>hello</b>")
    until_ended(page)
    expect(page.locator(".message.user .content")).to_have_text("<b>hello</b>")
    expect(replies(page)).to_contain_text("<script>alert(1)</script>")
    link = replies(page).get_by_role("link", name="picture of it")
    expect(link).to_have_attribute("rel", "noopener nofollow")
    assert replies(page).locator("img, script, style, [style], [onclick]").count() == 0
    replies(page).get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == "<script>alert(1)</script>\n"


def test_by_keyboard_and_on_a_phone_the_list_opens_and_closes(page: Page, behind: Behind) -> None:
    open_chat(page, behind.person())
    send(page, "hello")
    until_ended(page)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    chat = page.locator("#recent a")
    expect(chat).not_to_be_visible()
    page.get_by_role("button", name="Conversations", exact=True).press("Enter")
    expect(page.get_by_role("link", name="New chat")).to_be_focused()
    expect(chat).to_be_visible()
    assert page.evaluate(FINDINGS) == []
    page.keyboard.press("Escape")
    expect(chat).not_to_be_visible()
    expect(page.get_by_role("button", name="Conversations", exact=True)).to_be_focused()
    page.get_by_role("button", name="Conversations", exact=True).click()
    chat.click()
    expect(chat).not_to_be_visible()
    expect(page.locator(".message")).to_have_count(2)


def test_when_the_session_has_ended_the_page_asks_to_sign_in_again(page: Page, behind: Behind) -> None:
    open_chat(page, behind.person())
    token = page.locator(".who [name=csrf_token]").input_value()
    signed_out = page.request.post(
        "/portal/sign-out", form={"csrf_token": token}, headers={"Sec-Fetch-Site": "same-origin"}, max_redirects=0
    )
    assert signed_out.status == 303
    send(page, "hello")
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended")
    expect(page.get_by_label("Message", exact=True)).to_have_value("hello")
    page.get_by_role("button", name="Sign in again").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_what_is_long_is_shown_in_pages(page: Page, behind: Behind) -> None:
    person = behind.person("enterprise")
    conversation = None
    for number in range(12):
        behind.ai.next.add(NextAnswer(text=f"answer {number}"))
        content = "the very first" if number == 0 else f"question {number}"
        body = {"content": content} if conversation is None else {"content": content, "conversation_id": conversation}
        sent = behind.server.post("/api/gateway/chat/messages", body, person.access_token)
        conversation = sent.json()["conversation_id"]
    for number in range(31):
        made = behind.server.post("/api/gateway/conversations", {"title": f"chat {number}"}, person.access_token)
        assert made.status == 201
    open_chat(page, person)
    chats = page.locator("#recent a")
    expect(chats).to_have_count(30)
    page.get_by_role("button", name="Show more").click()
    expect(chats).to_have_count(32)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    chats.last.click()
    expect(page.locator(".message")).to_have_count(20)
    expect(page.locator(".message").last).to_be_in_viewport()
    page.get_by_role("button", name="Show earlier messages").click()
    expect(page.locator(".message")).to_have_count(24)
    expect(page.locator(".message .content").first).to_have_text("the very first")
    page.reload()
    expect(page.locator(".message")).to_have_count(20)
    page.get_by_label("Search your messages").fill('"very first"')
    page.locator(".found a").click()
    expect(page.locator(".message").first).to_be_focused()
    expect(page.locator(".message").first).to_be_in_viewport()

"""What the chat server's own document says to call, called: each path of its list, at the server that `make run` starts.

Its events are tested with the sockets.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from compat import FORMER_PATHS
from sandbox.services import ROOT
from settings.environment import FORMER_NAMES, IGNORED_PREFIX
from tests.sandbox.test_make_run import START_SECONDS, MakeRun

DOCUMENT = """
POST /api/v1/auth/signup
POST /api/v1/auth/login
POST /api/v1/auth/logout
POST /api/v1/auth/refresh
POST /api/v1/auth/forgot-password
POST /api/v1/auth/reset-password
POST /api/v1/chat/messages
POST /api/v1/chat/messages/regenerate
PATCH /api/v1/chat/messages/:id
DELETE /api/v1/chat/messages/:id
POST /api/v1/chat/completion
GET /api/v1/chat/models
GET /api/v1/conversations
POST /api/v1/conversations
GET /api/v1/conversations/:id
PATCH /api/v1/conversations/:id
DELETE /api/v1/conversations/:id
GET /api/v1/conversations/:id/messages
GET /api/v1/subscriptions/current
GET /api/v1/subscriptions/plans
POST /api/v1/subscriptions/subscribe
POST /api/v1/subscriptions/cancel
GET /api/v1/health
GET /api/v1/health/ready
GET /api/v1/health/live
GET /api/v1/health/providers
"""
VARIABLES = {
    "NODE_ENV": "development",
    "JWT_SECRET": "the-signing-secret-of-the-chat-server-0",
    "SUPABASE_URL": "https://accounts.example.com",
    "SUPABASE_ANON_KEY": "anonymous",
    "SUPABASE_SERVICE_KEY": "service",
}
"""Those of its list that have another name today, or none. DATABASE_URL, REDIS_URL, PORT and the providers' keys are the same."""
COMMANDS = (
    "npm install",
    "npm run migrate",
    "npm run dev",
    "npm run build",
    "npm start",
    "npm test",
    "docker build -t mirai-api .",
    "docker run -p 3000:3000 --env-file .env mirai-api",
)
EVENTS = ("chat:stream", "conversation:join", "typing:start", "voice:start")
PAGE = ROOT / "docs" / "from-node.md"
PASSWORD = "tulip-9-orbit-canoe"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


class Client:
    """Of the document's time: it knows no other paths. `called`: as the document writes them."""

    def __init__(self, url: str) -> None:
        self.url, self.token, self.called = url, "", set[str]()

    def __call__(self, method: str, path: str, status: int, body: object = None) -> Any:
        self.called.add(f"{method} {ID.sub(':id', path)}")
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = requests.request(method, f"{self.url}{path}", json=body, headers=headers, timeout=60)
        assert answer.status_code == status, f"{method} {path}: {answer.text}"
        assert "Deprecation" in answer.headers
        return answer.json() if answer.content else None


@pytest.fixture
def running(tmp_path: Path) -> Iterator[MakeRun]:
    made = MakeRun(tmp_path)
    made.environ.pop("FLASK_ENV")
    made.environ |= VARIABLES
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_path_of_the_document_works_with_its_variables(running: MakeRun) -> None:
    call = Client(running.url)
    accounts(call, running)
    chat(call)
    conversations(call)
    subscriptions(call)
    health(call)
    call("POST", "/api/v1/auth/logout", 204)
    assert call.called == set(DOCUMENT.split("\n")) - {""}


def accounts(call: Client, running: MakeRun) -> None:
    credentials = {"email": "alice@example.com", "password": PASSWORD}
    call("POST", "/api/v1/auth/signup", 201, credentials)
    signed_in = call("POST", "/api/v1/auth/login", 200, credentials)
    call("POST", "/api/v1/auth/refresh", 200, {"refresh_token": signed_in["refresh_token"]})
    call("POST", "/api/v1/auth/forgot-password", 202, {"email": credentials["email"]})
    changed = {"token": token_of_email(running), "new_password": "harbor-7-violet-maple"}
    call("POST", "/api/v1/auth/reset-password", 204, changed)
    again = call("POST", "/api/v1/auth/login", 200, {**credentials, "password": "harbor-7-violet-maple"})
    call.token = again["access_token"]


def token_of_email(running: MakeRun) -> str:
    """The worker sends it in a moment."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        for each in (running.folder / "mail").glob("*.eml"):
            text = each.read_text(encoding="utf-8").replace("=\n", "").replace("=3D", "=")
            if found := re.search(r"reset-password#token=(\S+)", text):
                return found[1]
        time.sleep(0.1)
    raise AssertionError("no e-mail was written")


def chat(call: Client) -> None:
    sent = call("POST", "/api/v1/chat/messages", 200, {"content": "Why is the sky blue?"})
    again = {"conversation_id": sent["conversation_id"]}
    other = call("POST", "/api/v1/chat/messages/regenerate", 200, again)["reply"]
    assert sent["reply"]["content"] and other["content"] and other["id"] != sent["reply"]["id"]
    assert call("PATCH", f"/api/v1/chat/messages/{other['id']}", 200, {"rating": 1})["rating"] == 1
    edited = {"content": "Why is the sea blue?"}
    assert call("PATCH", f"/api/v1/chat/messages/{sent['message']['id']}", 200, edited)["content"] == edited["content"]
    call("DELETE", f"/api/v1/chat/messages/{other['id']}", 204)
    model = call("GET", "/api/v1/chat/models", 200)["default_model"]
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    assert call("POST", "/api/v1/chat/completion", 200, asked)["choices"][0]["message"]["content"]


def conversations(call: Client) -> None:
    made = call("POST", "/api/v1/conversations", 201, {"title": "Sky"})
    path = f"/api/v1/conversations/{made['id']}"
    call("POST", "/api/v1/chat/messages", 200, {"content": "Hello", "conversation_id": made["id"]})
    assert len(call("GET", f"{path}/messages", 200)["messages"]) == 2
    assert call("PATCH", path, 200, {"title": "The sky"})["title"] == "The sky"
    assert call("GET", path, 200)["title"] == "The sky"
    assert [each["title"] for each in call("GET", "/api/v1/conversations", 200)["conversations"]] == [
        "The sky",
        "Why is the sky blue?",
    ]
    call("DELETE", path, 204)


def subscriptions(call: Client) -> None:
    tiers = [plan["tier"] for plan in call("GET", "/api/v1/subscriptions/plans", 200)["plans"]]
    assert {"free", "plus", "pro", "enterprise"} <= set(tiers)
    assert call("GET", "/api/v1/subscriptions/current", 200)["tier"] == "free"
    bought = call("POST", "/api/v1/subscriptions/subscribe", 200, {"tier": "plus", "billing_cycle": "monthly"})
    requests.post(bought["checkout_url"], data={"action": "good"}, allow_redirects=False, timeout=30)
    deadline = time.monotonic() + START_SECONDS
    while call("GET", "/api/v1/subscriptions/current", 200)["tier"] != "plus":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    cancelled = call("POST", "/api/v1/subscriptions/cancel", 200)
    assert (cancelled["renews_at"], cancelled["ends_at"] is None) == (None, False)


def health(call: Client) -> None:
    assert call("GET", "/api/v1/health", 200)["status"] in {"ok", "degraded"}
    assert call("GET", "/api/v1/health/ready", 200)["status"] in {"ready", "degraded"}
    assert call("GET", "/api/v1/health/live", 200)["status"] == "ok"
    providers = call("GET", "/api/v1/health/providers", 200)["providers"]
    assert {each["name"] for each in providers if each["configured"]} == {"openai", "anthropic", "google", "groq"}


def test_the_page_for_movers_names_all_that_the_document_does() -> None:
    page = PAGE.read_text(encoding="utf-8")
    paths = {re.sub(r"<\w+:\w+>", "{id}", former.split()[1]) for former in FORMER_PATHS if " /api/v1/" in former}
    assert paths == {each.split()[1].replace(":id", "{id}") for each in DOCUMENT.split("\n") if each}
    names = [name for name in FORMER_NAMES if name in VARIABLES]
    for said in (*paths, *COMMANDS, *EVENTS, *names, IGNORED_PREFIX, "Vercel"):
        assert said in page, said

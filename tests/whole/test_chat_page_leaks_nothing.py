"""What people ask on the chat page reaches no log and no error report, also when its routes break."""

import re
import secrets
from pathlib import Path
from urllib.parse import urlencode

import pytest

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from security.logs.folder import FILES
from tests.conftest import administer
from tests.metering.limit_backends import eventually
from tests.sentry_ingest import sentry_ingest
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ai_environment, production_environment
from tests.whole.web_server import Person, Reply, WebServer

BY_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
SPOILED = "ALTER TABLE chat_messages ADD CONSTRAINT spoiled CHECK (length(content) < 3) NOT VALID"
"""PostgreSQL repeats the whole row in the error that a broken constraint makes."""
BROKEN = "ALTER TABLE chat_messages RENAME COLUMN rating TO went_away"


class OpenPage:
    """Signed in with the form, as a browser would be."""

    def __init__(self, server: WebServer, person: Person) -> None:
        self.server = server
        form = {"email": person.email, "password": person.password}
        signed_in = server.post("/portal/sign-in", urlencode(form).encode(), headers=BY_FORM)
        assert signed_in.status == 303, signed_in.body
        cookies = signed_in.headers.get_all("Set-Cookie", [])
        self.cookie = {"Cookie": "; ".join(each.partition(";")[0] for each in cookies)}
        page = self.get("").body.decode()
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found is not None
        form = {"csrf_token": found[1]}
        given = server.post("/portal/chat/token", urlencode(form).encode(), headers={**BY_FORM, **self.cookie})
        self.token = given.json()["access_token"]

    def get(self, path: str) -> Reply:
        return self.server.get(f"/portal/chat{path}", headers=self.cookie)


@pytest.mark.slow
def test_a_prompt_and_its_reply_reach_no_log_and_no_error(
    start_web_server: StartWebServer, database_url: str, redis_url: str, ai: AIServer, tmp_path: Path
) -> None:
    prompt, reply = (f"canary{secrets.token_hex(8)}" for _ in range(2))
    log_dir = tmp_path / "logs"
    log_dir.mkdir()
    with sentry_ingest() as sentry:
        environ = {
            **production_environment(database_url, "https://predict.example.com", redis_url),
            **ai_environment(ai),
            "CHAT_DEFAULT_MODEL": "gpt-6-luna",
            "LOG_LEVEL": "DEBUG",
            "LOG_DIR": str(log_dir),
            "SENTRY_DSN": sentry.dsn,
        }
        server = start_web_server(environ, processes=1)
        page = OpenPage(server, server.register("alice"))
        ai.next.add(NextAnswer(text=f"# {reply} [x](javascript:{reply})"))
        sent = server.post("/api/gateway/chat/messages", {"content": prompt}, page.token).json()
        conversation, message = sent["conversation_id"], sent["reply"]["id"]
        shown = page.get(f"/{conversation}/messages")
        assert prompt in shown.body.decode() and reply in shown.body.decode()
        assert page.get(f"/{conversation}/messages?cursor={prompt}").status == 422
        administer(database_url, SPOILED)
        rated = {"rating": 1}
        assert server.ask("PATCH", f"/api/gateway/chat/messages/{message}", rated, page.token).status == 500
        administer(database_url, BROKEN)
        assert page.get(f"/{conversation}/messages").status == 500
        assert page.get(f"/messages/{message}").status == 500
        eventually(lambda: len(sentry.events()) >= server.output().count('"exception":'), seconds=30)
        server.stop()
        assert len(sentry.events()) >= 3
        for told in (server.output(), sentry.text, *((log_dir / name).read_text() for name in FILES)):
            assert told and prompt not in told and reply not in told and page.token not in told

"""The page that shows the e-mails of a developer's machine."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage, Message
from pathlib import Path

import pytest

from auth.mail.transport import FolderTransport
from sandbox.mail_box import MailBoxServer

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[MailBoxServer]:
    server = MailBoxServer(tmp_path / "mail")
    server.start()
    yield server
    server.stop()


def mail(number: int, subject: str = "Hello", text: str = "Hello there", page: str = "<p>Hello</p>") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "MirrorOS <no-reply@localhost>", "alice@example.com", subject
    message["Date"] = "Fri, 27 Nov 2026 12:00:00 +0000"
    message["Message-ID"] = f"<message-{number}@localhost>"
    message.set_content(text)
    message.add_alternative(f"<html><head></head><body>{page}</body></html>", subtype="html")
    return message


def ask(box: MailBoxServer, path: str, **headers: str) -> tuple[int, str, Message]:
    request = urllib.request.Request(box.url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


def test_messages_are_listed_newest_first(box: MailBoxServer) -> None:
    assert "No e-mails yet" in ask(box, "/")[1]
    for number, subject in enumerate(("first", "second", "third")):
        FolderTransport(box.box.folder).deliver(mail(number, subject))
    status, text, _ = ask(box, "/")
    assert status == 200
    assert re.findall(r"<a href='/emails/(message-\d)'>(\w+)</a>", text) == [
        ("message-2", "third"),
        ("message-1", "second"),
        ("message-0", "first"),
    ]


def test_an_email_is_shown_as_text_whose_links_can_be_followed_and_as_html_in_a_sandbox(box: MailBoxServer) -> None:
    link = "http://127.0.0.1:8000/account/verify-email#token=ot_x"
    FolderTransport(box.box.folder).deliver(mail(1, text=f"Press:\n{link}\n", page=f"<a href='{link}'>Press</a>"))
    _, text, headers = ask(box, "/emails/message-1")
    assert f"<a href='{link}' rel='noreferrer'>{link}</a>" in text
    assert "<iframe sandbox='allow-popups allow-popups-to-escape-sandbox' src='/html/message-1'" in text
    assert "script-src" not in headers["Content-Security-Policy"]
    _, page, headers = ask(box, "/html/message-1")
    assert '<head><base target="_blank"></head>' in page
    assert headers["Content-Security-Policy"].startswith("sandbox allow-popups")
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_what_an_email_says_is_never_markup_of_the_page(box: MailBoxServer) -> None:
    FolderTransport(box.box.folder).deliver(mail(1, subject=EVIL, text=f"{EVIL} https://x.example/'onclick='y {EVIL}"))
    for path in ("/", "/emails/message-1"):
        status, text, _ = ask(box, path)
        assert status == 200
        assert "<script" not in text
        assert "'onclick" not in text
        assert "&lt;script&gt;" in text


@pytest.mark.parametrize("path", ["/emails/none", "/emails/../secret", "/emails/..%2fsecret", "/other/message-1", "/x"])
def test_nothing_else_is_served(box: MailBoxServer, path: str) -> None:
    FolderTransport(box.box.folder).deliver(mail(1))
    (box.box.folder.parent / "secret.eml").write_text("Subject: secret\n\nsecret")
    status, text, _ = ask(box, path)
    assert status == 404
    assert "secret" not in text


def test_a_name_that_a_web_site_could_have_is_refused(box: MailBoxServer) -> None:
    FolderTransport(box.box.folder).deliver(mail(1))
    status, text, _ = ask(box, "/", Host="rebound.example")
    assert status == 403
    assert "alice" not in text

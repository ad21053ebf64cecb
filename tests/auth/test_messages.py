"""Messages: what they look like, and that they cannot be made to say something else."""

import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from auth.email_codes.one_time_codes import Purpose
from auth.mail.transport import FolderTransport
from database import transaction
from tests.auth.accounts_app import Accounts

NOTICE: dict[str, Any] = {
    "headline": "Look",
    "sentence": "It happened.",
    "when": "today",
    "device": "phone",
    "base_url": "https://a.b",
}


def notice(accounts: Accounts, **changes: str) -> EmailMessage:
    return accounts.auth.mailer.write(
        "0193", "security_notice", "alice@example.com", {**NOTICE, **changes}, accounts.clock()
    )


def parts(message: EmailMessage) -> tuple[str, str]:
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


def test_an_email_has_a_text_and_a_page_and_says_who_sent_it(accounts: Accounts) -> None:
    message = notice(accounts)
    text, html = parts(message)
    assert (message["Subject"], message["To"]) == ("Look", "alice@example.com")
    assert message["Message-ID"] == "<0193@api.example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "It happened." in text
    assert "<p>It happened.</p>" in html


def test_a_value_stays_a_value(accounts: Accounts) -> None:
    hostile = "{{ 7*7 }} <script>alert(1)</script>\r\nBcc: mallory@example.com %s ${x}"
    message = notice(accounts, headline=hostile, sentence=hostile, device=hostile)
    text, html = parts(message)
    assert message["Bcc"] is None
    assert "{{ 7*7 }}" in text
    assert "<script>" not in html
    assert "\nBcc:" not in text


def test_every_template_has_both_forms() -> None:
    folder = Path(__file__).parents[2] / "auth" / "mail" / "templates"
    texts = {path.stem for path in folder.glob("*.txt")}
    assert texts == {path.stem for path in folder.glob("*.html")} - {"layout"}


def test_an_email_is_a_job_of_the_transaction_and_the_queue_holds_no_secret(accounts: Accounts) -> None:
    user_id = accounts.register()["user"]["id"]
    auth = accounts.auth
    with pytest.raises(ZeroDivisionError), accounts.app.app_context(), transaction() as session:
        auth.mailer.enqueue(session, "security_notice", "alice@example.com", **NOTICE)
        _ = 1 / 0
    assert accounts.messages() == []
    with accounts.app.app_context(), transaction() as session:
        code = auth.one_time_codes.begin(session, user_id, Purpose.VERIFY_EMAIL, "alice@example.com", accounts.clock())
        auth.mailer.enqueue(
            session, "security_notice", "alice@example.com", code=(code, Purpose.VERIFY_EMAIL), **NOTICE
        )
    ((arguments,),) = accounts.query("SELECT args::text FROM procrastinate_jobs")
    assert auth.one_time_codes.digits(code, Purpose.VERIFY_EMAIL) not in arguments
    assert "ot_" not in arguments
    assert len(accounts.messages()) == 1


def test_an_email_about_a_void_code_is_not_sent(accounts: Accounts) -> None:
    user_id = accounts.register()["user"]["id"]
    auth = accounts.auth
    with accounts.app.app_context(), transaction() as session:
        code = auth.one_time_codes.begin(session, user_id, Purpose.VERIFY_EMAIL, "alice@example.com", accounts.clock())
        auth.mailer.enqueue(
            session, "security_notice", "alice@example.com", code=(code, Purpose.VERIFY_EMAIL), **NOTICE
        )
        auth.one_time_codes.begin(session, user_id, Purpose.VERIFY_EMAIL, "alice@example.com", accounts.clock())
    assert accounts.messages() == []


def test_a_folder_keeps_emails_as_files_that_mail_programs_open(accounts: Accounts, tmp_path: Path) -> None:
    folder = FolderTransport(tmp_path / "mail")
    folder.deliver(notice(accounts))
    folder.deliver(notice(accounts))
    (file,) = (tmp_path / "mail").iterdir()
    assert file.name == "0193.eml"
    assert re.search(r"^Subject: Look$", file.read_text(), re.MULTILINE)

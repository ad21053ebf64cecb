"""/admin/emails"""

import asyncio
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth.assembly import Auth
from auth.jobs import auth_jobs
from auth.mail.models import DeadEmail
from auth.mail.notices import notify
from auth.mail.transport import MailTransport, SmtpTransport
from auth.principal import Role
from database import transaction
from database.base import uuid7
from database.jobs.declare import Jobs
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from tests.admin.dashboard import Dashboard, text_of
from tests.auth.smtp_server import HOST, SmtpServer, smtp_server

QUEUED = "SELECT args FROM procrastinate_jobs WHERE task_name = 'send_email' ORDER BY id"
NOTICE = {"headline": "Look", "sentence": "It happened.", "when": "today", "device": None, "base_url": "https://a.b"}


@pytest.fixture
def mail_server(tmp_path: Path) -> Iterator[SmtpServer]:
    logging.disable(logging.CRITICAL)  # a failed job writes its traceback, which belongs to no test's output
    with smtp_server(tmp_path) as server:
        yield server
    logging.disable(logging.NOTSET)


def dead_email(dashboard: Dashboard, address: str = "alice@example.com", **more: Any) -> UUID:
    user_id, email_id = dashboard.user(address), uuid7()
    values = {
        "template": "security_notice",
        "values": NOTICE,
        "reason": "TimeoutError",
        "failed_at": dashboard.auth.clock(),
    }
    with dashboard.app.app_context(), transaction() as session:
        session.add(DeadEmail(id=email_id, user_id=user_id, address=address, **{**values, **more}))
    return email_id


def dead(dashboard: Dashboard) -> list[UUID]:
    return [email_id for (email_id,) in dashboard.query("SELECT id FROM dead_emails ORDER BY id")]


def work(dashboard: Dashboard, auth: Auth, url: str) -> None:
    """Each job is tried once."""
    jobs = Jobs.of(replace(job, retries=0) for job in auth_jobs(auth))
    asyncio.run(run_worker(dashboard.app, jobs, url, WorkerOptions(), once=True))


def sending_by(auth: Auth, transport: MailTransport) -> Auth:
    return replace(auth, mailer=replace(auth.mailer, transport=transport))


def test_an_email_dies_is_shown_and_arrives_after_it_was_sent_again(
    dashboard: Dashboard, kept_database_url: str, mail_server: SmtpServer
) -> None:
    dashboard.user("alice@example.com")
    sending = sending_by(dashboard.auth, mail_server.as_transport())
    with dashboard.app.app_context(), transaction() as session:
        notify(sending.mailer, session, "password_changed", "alice@example.com", sending.clock())
    with socket.socket() as held:  # nobody listens on it
        held.bind((HOST, 0))
        work(dashboard, sending_by(dashboard.auth, SmtpTransport(HOST, held.getsockname()[1])), kept_database_url)
    admin = dashboard.staff()

    page = admin.get("/admin/emails")
    assert "security_notice a***@example.com" in text_of(page)
    assert "ConnectionRefusedError" in text_of(page)
    assert "alice@" not in page.text
    (email_id,) = dead(dashboard)
    answer = admin.post(f"/admin/emails/{email_id}/send-again")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/emails?done=queued")
    work(dashboard, sending, kept_database_url)

    (message,) = mail_server.received.messages
    assert (message["To"], message["Subject"]) == ("alice@example.com", "Your password was changed")
    assert "No e-mail has failed." in text_of(admin.get("/admin/emails"))
    assert dashboard.query("SELECT actor_id FROM security_events WHERE event = 'dead_email_sent_again'") == [
        (admin.user_id,)
    ]


def test_all_are_sent_again(dashboard: Dashboard, kept_database_url: str, mail_server: SmtpServer) -> None:
    dead_email(dashboard)
    dead_email(dashboard, "bob@example.com")
    admin = dashboard.staff()
    assert "2 e-mails will be queued again." in text_of(admin.get("/admin/emails/send-all-again"))

    answer = admin.post("/admin/emails/send-all-again")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/emails?done=all_queued")
    sending = sending_by(dashboard.auth, mail_server.as_transport())
    for _ in range(2):  # the second run sends what the first one enqueued
        work(dashboard, sending, kept_database_url)
    assert sorted(message["To"] for message in mail_server.received.messages) == [
        "alice@example.com",
        "bob@example.com",
    ]
    assert dashboard.query("SELECT actor_id, detail FROM security_events WHERE event = 'dead_emails_sent_again'") == [
        (admin.user_id, {"count": 2})
    ]


def test_with_none_there_is_nothing_to_send(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    assert "There is no e-mail to send again." in text_of(admin.get("/admin/emails/send-all-again"))
    assert "send-all-again" not in admin.get("/admin/emails").text
    assert admin.post("/admin/emails/send-all-again").status_code == 303
    assert dashboard.query("SELECT 1 FROM procrastinate_jobs") == []


def test_an_admin_drops_one(dashboard: Dashboard) -> None:
    email_id, other = dead_email(dashboard), dead_email(dashboard, "bob@example.com")
    admin = dashboard.staff()
    assert "a***@example.com" in text_of(admin.get(f"/admin/emails/{email_id}/drop"))

    answer = admin.post(f"/admin/emails/{email_id}/drop")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/emails?done=dropped")
    assert dead(dashboard) == [other]
    assert dashboard.query(QUEUED) == []
    assert dashboard.query("SELECT actor_id FROM security_events WHERE event = 'dead_email_dropped'") == [
        (admin.user_id,)
    ]


def test_one_whose_link_is_no_longer_valid_is_marked_and_not_offered(dashboard: Dashboard) -> None:
    email_id = dead_email(dashboard, template="verify_email", code_id=uuid4(), purpose="verify_email")
    page = dashboard.staff().get("/admin/emails")
    assert "link no longer valid" in text_of(page)
    assert f"{email_id}/send-again" not in page.text


def test_support_sees_them_and_is_offered_no_acts(dashboard: Dashboard) -> None:
    email_id = dead_email(dashboard)
    page = dashboard.staff(Role.SUPPORT).get("/admin/emails")
    assert "a***@example.com" in text_of(page)
    assert f"{email_id}/" not in page.text


def test_more_than_a_page_is_turned(dashboard: Dashboard) -> None:
    dead_email(dashboard)
    dashboard.query(
        "INSERT INTO dead_emails SELECT gen_random_uuid(), user_id, template, address, values, code_id, purpose, job_id, reason,"
        " failed_at FROM dead_emails, generate_series(1, 50)"
    )
    ids = dead(dashboard)
    page = dashboard.staff().get("/admin/emails")
    assert f"cursor={ids[1]}" in page.text
    assert f"/{ids[0]}/" in dashboard.staff().get(f"/admin/emails?cursor={ids[1]}").text


def test_what_harms_asks_for_a_fresh_proof(dashboard: Dashboard) -> None:
    email_id = dead_email(dashboard)
    admin = dashboard.staff()
    admin.grow_old(minutes=6)
    for address in (f"/admin/emails/{email_id}/drop", "/admin/emails/send-all-again"):
        assert (admin.get(address).status_code, admin.post(address).status_code) == (401, 401)
    assert dead(dashboard) == [email_id]


@pytest.mark.parametrize("act", ["drop", "send-again"])
def test_one_that_is_gone_is_said_to_be(dashboard: Dashboard, act: str) -> None:
    answer = dashboard.staff().post(f"/admin/emails/{uuid4()}/{act}")
    assert answer.status_code == 404
    assert "This e-mail is not here any more" in text_of(answer)

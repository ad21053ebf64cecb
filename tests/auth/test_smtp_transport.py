"""E-mails over real SMTP: STARTTLS, a password, refusals, and a server that is away."""

import asyncio
import logging
import smtplib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auth.jobs import auth_jobs
from auth.mail.transport import MessageRefused, SmtpTransport
from database.jobs.declare import Jobs
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from tests.auth.accounts_app import PASSWORD, Accounts
from tests.auth.message_parts import html_of, text_of
from tests.auth.smtp_server import HOST, SmtpServer, smtp_server
from tests.auth.test_messages import notice
from tests.metric_values import rising


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with smtp_server(tmp_path) as server:
        yield server


def test_an_email_arrives_whole_over_tls_after_a_login(accounts: Accounts, server: SmtpServer) -> None:
    sent = notice(accounts, sentence="Ein schöner Tag.")
    server.as_transport().deliver(sent)
    (arrived,) = server.received.messages
    assert server.received.over_tls == [True]
    assert (arrived["To"], arrived["Message-ID"]) == ("alice@example.com", sent["Message-ID"])
    assert text_of(arrived).splitlines() == text_of(sent).splitlines()
    assert html_of(arrived).splitlines() == html_of(sent).splitlines()


def test_nothing_is_said_to_a_server_whose_certificate_is_not_trusted(accounts: Accounts, server: SmtpServer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        server.as_transport(trusted=False).deliver(notice(accounts))
    assert server.received.messages == []


def test_nothing_is_said_to_a_server_with_the_certificate_of_another(accounts: Accounts, tmp_path: Path) -> None:
    with smtp_server(tmp_path, "mail.example.com") as other:
        with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
            other.as_transport().deliver(notice(accounts))
        assert other.received.messages == []


def test_a_wrong_password_of_ours_may_be_put_right_later(accounts: Accounts, server: SmtpServer) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.as_transport(password="wrong").deliver(notice(accounts))


def test_an_address_that_the_server_will_never_take_is_not_tried_again(accounts: Accounts, server: SmtpServer) -> None:
    server.received.refusals["alice@example.com"] = "550 no such box"
    with pytest.raises(MessageRefused):
        server.as_transport().deliver(notice(accounts))


def test_a_full_box_is_tried_again(accounts: Accounts, server: SmtpServer) -> None:
    server.received.refusals["alice@example.com"] = "452 come back later"
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        server.as_transport().deliver(notice(accounts))


def work_once(accounts: Accounts, database_url: str, transport: SmtpTransport) -> None:
    """A worker that sends through this server, and has nothing else to do, which might come due meanwhile."""
    mailer = replace(accounts.auth.mailer, transport=transport)
    jobs = Jobs.of(job for job in auth_jobs(replace(accounts.auth, mailer=mailer)) if job.name == "send_email")
    asyncio.run(run_worker(accounts.app, jobs, database_url, WorkerOptions(), once=True))


def waiting(accounts: Accounts) -> list[Any]:
    columns = "task_name, status::text, attempts, scheduled_at > now()"
    return [tuple(row) for row in accounts.query(f"SELECT {columns} FROM procrastinate_jobs")]


@pytest.fixture
def quiet_jobs() -> Iterator[None]:
    """A failed job writes its traceback into the log, which belongs to no test's output."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("quiet_jobs")
def test_while_the_server_is_down_the_email_waits(accounts: Accounts, database_url: str, server: SmtpServer) -> None:
    accounts.post("/register", {"email": "alice@example.com", "password": PASSWORD})
    with socket.socket() as held, rising(mirroros_emails_total={'outcome="failed"': 1}):  # nobody listens on it
        held.bind((HOST, 0))
        work_once(accounts, database_url, SmtpTransport(HOST, held.getsockname()[1]))
    assert waiting(accounts) == [("send_email", "todo", 1, True)]
    accounts.query("UPDATE procrastinate_jobs SET scheduled_at = now()")
    with rising(mirroros_emails_total={'outcome="sent"': 1}):
        work_once(accounts, database_url, server.as_transport())
    assert waiting(accounts) == []
    assert [message["Subject"] for message in server.received.messages] == ["Confirm your e-mail address"]


@pytest.mark.usefixtures("quiet_jobs")
def test_a_refused_email_does_not_wait(accounts: Accounts, database_url: str, server: SmtpServer) -> None:
    server.received.refusals["alice@example.com"] = "550 no such box"
    accounts.post("/register", {"email": "alice@example.com", "password": PASSWORD})
    with rising(mirroros_emails_total={'outcome="refused"': 1}):
        work_once(accounts, database_url, server.as_transport())
    assert waiting(accounts) == []
    assert server.received.messages == []

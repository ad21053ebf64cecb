"""E-mails that failed for good: kept, sent again by an operator, or dropped. With a real worker and a real mail server."""

import asyncio
import logging
import smtplib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from auth.email_codes.one_time_codes import Purpose
from auth.jobs import auth_jobs
from auth.mail.commands import email_commands
from auth.mail.send_again import masked
from auth.mail.transport import MailTransport, SmtpTransport
from database import transaction
from database.jobs.declare import Jobs
from database.jobs.run_worker import run_worker
from database.jobs.worker_options import WorkerOptions
from tests.auth.accounts_app import PASSWORD, Accounts
from tests.auth.message_parts import token_in
from tests.auth.smtp_server import HOST, SmtpServer, smtp_server

LISTED = "SELECT template, address, reason, code_id IS NOT NULL FROM dead_emails ORDER BY id"


@dataclass(frozen=True)
class Post:
    """Accounts, and a worker that sends their e-mails through the server, or to a port where nobody listens."""

    accounts: Accounts
    server: SmtpServer
    database_url: str

    def run(self, *arguments: object) -> Result:
        command = email_commands(self.accounts.auth.clock)
        return self.accounts.app.test_cli_runner().invoke(command, [str(each) for each in arguments])

    def told(self, *arguments: object) -> tuple[int, str]:
        """How the command ended, and its last line; a line of the log may stand before it."""
        done = self.run(*arguments)
        return done.exit_code, done.output.splitlines()[-1]

    def work(self, transport: MailTransport | None = None) -> None:
        """Each job is tried once."""
        mailer = replace(self.accounts.auth.mailer, transport=transport or self.server.as_transport())
        jobs = (replace(job, retries=0) for job in auth_jobs(replace(self.accounts.auth, mailer=mailer)))
        asyncio.run(run_worker(self.accounts.app, Jobs.of(jobs), self.database_url, WorkerOptions(), once=True))

    def work_while_the_server_is_away(self) -> None:
        with socket.socket() as held:  # nobody listens on it
            held.bind((HOST, 0))
            self.work(SmtpTransport(HOST, held.getsockname()[1]))

    def register(self, *addresses: str) -> None:
        for address in addresses:
            answer = self.accounts.post("/register", {"email": address, "password": PASSWORD})
            assert answer.status_code == 201, answer.text

    def dead(self) -> list[Any]:
        return [tuple(row) for row in self.accounts.query(LISTED)]

    def the_id(self) -> str:
        return str(self.accounts.query("SELECT id FROM dead_emails")[0][0])

    def arrived(self) -> list[str]:
        return [message["To"] for message in self.server.received.messages]


@pytest.fixture
def post(accounts: Accounts, database_url: str, tmp_path: Path) -> Iterator[Post]:
    logging.disable(logging.CRITICAL)  # a failed job writes its traceback, which belongs to no test's output
    with smtp_server(tmp_path) as server:
        yield Post(accounts, server, database_url)
    logging.disable(logging.NOTSET)


def test_an_email_that_failed_for_good_is_kept_without_what_opens_an_account(post: Post) -> None:
    post.register("alice@example.com")
    post.work_while_the_server_is_away()

    assert post.dead() == [("verify_email", "alice@example.com", "ConnectionRefusedError", True)]
    ((code_id, kept),) = post.accounts.query("SELECT code_id, dead_emails::text FROM dead_emails")
    codes = post.accounts.auth.one_time_codes
    assert codes.digits(code_id, Purpose.VERIFY_EMAIL) not in kept
    assert "ot_" not in kept
    assert post.accounts.query("SELECT args FROM procrastinate_jobs") == [({},)]


def test_a_dead_email_sent_again_arrives_and_its_link_works(post: Post) -> None:
    post.register("alice@example.com")
    post.work_while_the_server_is_away()

    assert post.told("send-again", post.the_id()) == (0, "Queued again. A worker will send it.")
    post.work()

    (message,) = post.server.received.messages
    assert message["To"] == "alice@example.com"
    assert post.accounts.post("/verify-email", {"token": token_in(message)}).status_code == 204
    assert post.dead() == []
    assert post.accounts.query("SELECT status::text FROM procrastinate_jobs") == []
    assert "dead_email_sent_again" in post.accounts.events()


def test_an_email_that_the_server_refuses_is_dead_at_once_and_can_be_sent_again(post: Post) -> None:
    post.server.received.refusals["alice@example.com"] = "550 no such box"
    post.register("alice@example.com")
    post.work()
    assert post.dead() == [("verify_email", "alice@example.com", "MessageRefused", True)]

    del post.server.received.refusals["alice@example.com"]
    post.run("send-again", post.the_id())
    post.work()

    assert post.arrived() == ["alice@example.com"]


def test_an_email_that_fails_again_is_kept_again(post: Post) -> None:
    post.register("alice@example.com")
    post.work_while_the_server_is_away()
    email_id = post.the_id()
    post.run("send-again", email_id)
    post.work_while_the_server_is_away()
    assert post.the_id() == email_id


def test_all_are_sent_again_and_a_bad_one_stops_no_other(post: Post) -> None:
    post.register("alice@example.com", "bob@example.com", "carol@example.com")
    post.work_while_the_server_is_away()
    post.accounts.query(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'bad'; END $$"
    )
    post.accounts.query(
        "CREATE TRIGGER refuse BEFORE DELETE ON dead_emails FOR EACH ROW WHEN (OLD.address = 'bob@example.com')"
        " EXECUTE FUNCTION refuse()"
    )
    try:
        assert post.told("send-again", "--all") == (0, "3 queued again. The workers will send them.")
        post.work()
        post.work()  # what the first run enqueued
    finally:
        post.accounts.query("DROP FUNCTION refuse CASCADE")

    assert sorted(post.arrived()) == ["alice@example.com", "carol@example.com"]
    assert [row[1] for row in post.dead()] == ["bob@example.com"]
    assert post.accounts.query("SELECT batch, reason FROM passed_over_items") == [("send_dead_emails", "InternalError")]


def test_with_nothing_to_send_no_job_is_made(post: Post) -> None:
    assert post.told("send-again", "--all") == (0, "0 queued again. The workers will send them.")
    assert post.accounts.query("SELECT 1 FROM procrastinate_jobs") == []
    assert post.accounts.events() == []


def test_an_email_about_a_link_that_was_used_is_not_sent_again(post: Post) -> None:
    post.register("alice@example.com")
    post.work_while_the_server_is_away()
    post.accounts.query("UPDATE one_time_codes SET used_at = now()")

    assert post.run("list").output.endswith("ConnectionRefusedError  link no longer valid\n")
    post.run("send-again", post.the_id())
    post.work()

    assert (post.arrived(), post.dead()) == ([], [])


def test_the_list_masks_addresses(post: Post) -> None:
    post.register("alice@example.com")
    post.work_while_the_server_is_away()
    (line,) = post.run("list").output.splitlines()
    assert line.split("  ")[2:] == ["verify_email", "a***@example.com", "ConnectionRefusedError"]
    assert post.run("list", "--limit", "0").exit_code == 2


def test_an_empty_list_says_so(post: Post) -> None:
    assert post.told("list") == (0, "No e-mails.")


def test_a_dropped_email_is_never_sent(post: Post) -> None:
    post.register("alice@example.com")
    post.work_while_the_server_is_away()
    email_id = post.the_id()

    assert post.told("drop", email_id) == (0, "Deleted.")
    assert post.accounts.query("SELECT status::text FROM procrastinate_jobs") == []
    post.work()

    assert (post.arrived(), post.dead()) == ([], [])
    assert "dead_email_dropped" in post.accounts.events()
    for command in ("drop", "send-again"):
        assert post.told(command, email_id) == (1, "Error: This e-mail was not found.")


@pytest.mark.parametrize("arguments", [[], ["0193a1f0-0000-7000-8000-000000000000", "--all"]])
def test_either_one_or_all_are_sent_again(post: Post, arguments: list[str]) -> None:
    assert post.run("send-again", *arguments).exit_code == 2


def test_an_email_to_nobody_who_has_an_account_is_not_kept(post: Post) -> None:
    with post.accounts.app.app_context(), transaction() as session:
        post.accounts.auth.mailer.enqueue(session, "address_in_use", "nobody@example.com", address="x", base_url="x")
    post.work_while_the_server_is_away()
    assert post.dead() == []


def test_an_email_that_will_be_tried_again_is_not_dead(post: Post) -> None:
    post.register("alice@example.com")
    mailer = replace(post.accounts.auth.mailer, transport=Unlucky())
    jobs = Jobs.of(auth_jobs(replace(post.accounts.auth, mailer=mailer)))
    asyncio.run(run_worker(post.accounts.app, jobs, post.database_url, WorkerOptions(), once=True))
    assert post.dead() == []


class Unlucky:
    def deliver(self, _message: object) -> None:
        raise smtplib.SMTPServerDisconnected


def test_a_dead_email_goes_with_its_account(post: Post) -> None:
    post.register("alice@example.com")
    post.work_while_the_server_is_away()
    post.accounts.query("DELETE FROM users")
    assert post.dead() == []


def test_of_an_address_the_first_character_and_the_domain_are_shown() -> None:
    assert masked("alice@example.com") == "a***@example.com"

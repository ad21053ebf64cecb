"""E-mails to users: enqueued in the transaction that has something to say, written and sent by a job.

Each has a template in `templates/`: `<name>.txt`, whose first line is the subject, and `<name>.html`. That of another package is
named with it, `capabilities.shop:order_shipped`, and lies in the `templates/` of that package. An e-mail with a link
or a code is enqueued with the id of its one-time code alone, so no queue, table or log ever holds what opens an account.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined
from sqlalchemy.orm import Session

from auth.email_codes.one_time_codes import OneTimeCodes, Purpose
from auth.mail.keep_dead import keep_dead_email
from auth.mail.transport import MailTransport, MessageRefused
from auth.metrics import EMAILS
from database import reading
from database.base import Clock, uuid7
from database.jobs.declare import JobName, Urgency, enqueue_job

SEND_EMAIL = JobName("send_email", Urgency.MAIL)
PAGES = {
    Purpose.VERIFY_EMAIL: "/account/verify-email",
    Purpose.RESET_PASSWORD: "/account/reset-password",
    Purpose.CHANGE_EMAIL: "/account/change-email",
    Purpose.UNDO_EMAIL_CHANGE: "/account/undo-email-change",
}
"""Where a link leads. The token stands behind the #, which browsers send to nobody; the page posts it when asked to."""


class _Folders(BaseLoader):
    """The `templates/` of each package, found when one of its e-mails is written."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        package, _, name = template.rpartition(":")
        return _folder_of(package or "auth.mail").get_source(environment, name)


@cache
def _folder_of(package: str) -> PackageLoader:
    return PackageLoader(package, "templates")


_FOLDER = _Folders()
# Plain text.
_TEXT = Environment(loader=_FOLDER, undefined=StrictUndefined, keep_trailing_newline=True)  # nosec B701 # noqa: S701
_HTML = Environment(loader=_FOLDER, undefined=StrictUndefined, autoescape=True)


@dataclass(frozen=True)
class Mailer:
    """Writes and sends. `sender` is what stands in From; links begin with `base_url` and with nothing of a request.

    Without a `transport`, e-mails are left out with a warning: such a server cannot confirm addresses or reset passwords.
    """

    transport: MailTransport | None
    sender: str
    base_url: str
    codes: OneTimeCodes
    clock: Clock

    def enqueue(
        self, session: Session, template: str, to: str, *, code: tuple[UUID, Purpose] | None = None, **values: Any
    ) -> None:
        """Send the e-mail if the session's transaction is committed. `values` are JSON values, none of them secret."""
        if self.transport is None:
            structlog.get_logger().warning("email_not_sent", template=template, reason="EMAIL_HOST is not set")
            return
        arguments: dict[str, Any] = {"message_id": str(uuid7()), "template": template, "to": to, "values": values}
        if code is not None:
            arguments |= {"code_id": str(code[0]), "purpose": code[1].value}
        enqueue_job(session, SEND_EMAIL, **arguments)

    def send(
        self,
        *,
        message_id: str,
        template: str,
        to: str,
        values: dict[str, Any],
        code_id: str | None = None,
        purpose: str | None = None,
    ) -> None:
        """The job. An e-mail about a code that is spent or void is not sent any more. One that is refused is dead at once."""
        if self.transport is None:
            return
        shown = values
        if code_id is not None and purpose is not None:
            one_time, aim = UUID(code_id), Purpose(purpose)
            with reading() as session:
                if not self.codes.is_open(session, one_time, self.clock()):
                    return
            link = f"{self.base_url}{PAGES[aim]}#token={self.codes.link_token(one_time, aim)}"
            shown = {**values, "link": link, "code": self.codes.digits(one_time, aim)}
        message = self.write(message_id, template, to, shown, self.clock())
        try:
            self.transport.deliver(message)
        except MessageRefused as refusal:
            EMAILS.labels("refused").inc()
            keep_dead_email(
                refusal,
                self.clock(),
                message_id=message_id,
                template=template,
                to=to,
                values=values,
                code_id=code_id,
                purpose=purpose,
            )
        except Exception:
            EMAILS.labels("failed").inc()
            raise
        else:
            EMAILS.labels("sent").inc()

    def write(self, message_id: str, template: str, to: str, values: dict[str, Any], now: datetime) -> EmailMessage:
        """The message, as text and as HTML. Raises jinja2.UndefinedError for a value that the template misses."""
        shown = {name: _one_line(value) for name, value in values.items()}
        subject, _, text = _TEXT.get_template(f"{template}.txt").render(shown).partition("\n")
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, to, subject
        message["Date"] = format_datetime(now)
        # The same e-mail sent again after a crash has the same id, and mail programs show it once (RFC 5322, 3.6.4).
        message["Message-ID"] = f"<{message_id}@{urlsplit(self.base_url).hostname}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834, 5: no holiday notices, please
        message.set_content(text.lstrip("\n"))
        html = _HTML.get_template(f"{template}.html").render({**shown, "subject": subject})
        message.add_alternative(html, subtype="html")
        return message


def _one_line(value: Any) -> Any:
    """A text without line breaks or control characters: a name must not write a paragraph of ours. Of a list, each."""
    if isinstance(value, list):
        return [_one_line(each) for each in value]
    if not isinstance(value, str):
        return value
    return "".join(character if character.isprintable() else " " for character in value)

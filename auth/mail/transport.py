"""Where finished messages go: to a mail server, or into a folder on a developer's machine."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from auth.mail.settings import MailSection
from settings.section import secret_text

SMTPS_PORT = 465  # RFC 8314, 3.3: TLS from the first byte
TIMEOUT_SECONDS = 15.0


class MessageRefused(Exception):
    """The mail server will never take this message for this address. Sending it again is of no use."""


class MailTransport(Protocol):
    def deliver(self, message: EmailMessage) -> None:
        """Raises MessageRefused; OSError or smtplib.SMTPException when it may work later."""


@dataclass(frozen=True)
class SmtpTransport:
    """An SMTP server. `use_tls`: STARTTLS is required before anything is said; port 465 speaks TLS from the start.

    The certificate is checked against the host's name.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    use_tls: bool = True
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False, compare=False)

    def deliver(self, message: EmailMessage) -> None:
        with self._signed_in() as server:
            try:
                server.send_message(message)
            except smtplib.SMTPRecipientsRefused as refusal:
                if all(code >= 500 for code, _ in refusal.recipients.values()):
                    raise MessageRefused("the mail server knows no such address") from None
                raise

    def try_sender(self, sender: str) -> None:
        """Begin as `deliver` does and send nothing. Raises OSError or smtplib.SMTPException."""
        with self._signed_in() as server:
            code, answer = server.mail(sender)
            if code >= 300:
                raise smtplib.SMTPSenderRefused(code, answer, sender)
            server.rset()

    @contextmanager
    def _signed_in(self) -> Iterator[smtplib.SMTP]:
        with self._connect() as server:
            if self.user is not None:
                server.login(self.user, self.password or "")
            yield server

    def _connect(self) -> smtplib.SMTP:
        if self.port == SMTPS_PORT:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_SECONDS, context=self.tls)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_SECONDS)
        if self.use_tls:
            try:
                server.starttls(context=self.tls)
            except BaseException:
                server.close()
                raise
        return server


@dataclass(frozen=True)
class FolderTransport:
    """Every message becomes a file that mail programs can open. For development: `make run` shows them on a page."""

    folder: Path

    def deliver(self, message: EmailMessage) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = message["Message-ID"].strip("<>").partition("@")[0]
        unfinished = self.folder / f".{name}"
        unfinished.write_bytes(message.as_bytes())
        unfinished.replace(self.folder / f"{name}.eml")


def mail_transport_of(settings: MailSection) -> MailTransport | None:
    if settings.email_host is not None:
        return SmtpTransport(
            settings.email_host,
            settings.email_port,
            settings.email_host_user,
            secret_text(settings.email_host_password),
            settings.email_use_tls,
        )
    return None if settings.email_folder is None else FolderTransport(settings.email_folder)

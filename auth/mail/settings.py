"""The settings of e-mail: the SMTP server, and who e-mails come from."""

from collections.abc import Iterator
from email.utils import formataddr, getaddresses
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr

from settings import types
from settings.private_hosts import is_private_host
from settings.process import ProcessSection
from settings.section import Complaint, Place


def _sender(text: str) -> str:
    """`Name <address>` or an address alone, as it stands in From (RFC 5322, 3.6.2)."""
    (name, address), *others = getaddresses([text]) or [("", "")]
    if others or not text.isprintable() or not text.isascii() or address.count("@") != 1 or not all(address.split("@")):
        raise ValueError("must be an address, or Name <address>")
    return formataddr((name, address))


class MailSection(ProcessSection):
    title: ClassVar = "E-mail"

    email_host: types.HostName | None = Field(default=None, examples=["smtp.example.com"])
    """The SMTP server that sends e-mails. In development without it, e-mails are written to files."""
    email_port: int = Field(default=587, ge=1, le=65535)
    """The SMTP server's port. Port 465 uses TLS from the first byte."""
    email_host_user: str | None = Field(default=None, examples=["mirroros"])
    """The user name for the SMTP server."""
    email_host_password: SecretStr | None = None
    """The password for the SMTP server."""
    email_use_tls: bool = True
    """Require STARTTLS before anything is sent. Only turn it off for a server on a private network."""
    default_from_email: Annotated[str, AfterValidator(_sender)] = "MirrorOS <no-reply@localhost>"
    """The sender of e-mails: `Name <address>`. Your SMTP server must accept this address."""
    email_folder: Path | None = Field(default=None, examples=[".data/mail"])
    """Development: the folder that e-mails are written to. Default in development: `.data/mail`."""
    mail_box_url: types.HttpUrl | None = Field(default=None, examples=["http://127.0.0.1:8025"])
    """Development: a page that shows the e-mails in `EMAIL_FOLDER`. `make run` sets it."""

    @staticmethod
    def defaults(place: Place) -> dict[str, str]:
        return {"email_folder": str(Path(".data") / "mail")} if place.is_development else {}

    def unsafe(self) -> Iterator[Complaint]:
        if self.email_folder is not None:
            yield "EMAIL_FOLDER", "is only for development; set EMAIL_HOST instead"
        if self.mail_box_url is not None:
            yield "MAIL_BOX_URL", "is only for development, because the home page links to it"
        if self.email_host is None:
            return
        if self.default_from_email == MailSection.model_fields["default_from_email"].default:
            yield "DEFAULT_FROM_EMAIL", "must be set to an address that your SMTP server may send from"
        if not self.email_use_tls and not is_private_host(self.email_host):
            yield "EMAIL_USE_TLS", "must be on, because e-mails contain links that open accounts"

    def remarks(self) -> Iterator[str]:
        if self.email_host is None:
            yield "EMAIL_HOST is not set: users cannot confirm their address or reset a password."

"""The mail server takes what we would send. Nothing is sent."""

import smtplib
import ssl
from collections.abc import Iterator
from email.utils import parseaddr

from auth.mail.transport import SmtpTransport
from settings.production_check import CannotAsk, ProductionCheck, Shortcoming


def mail_check(transport: SmtpTransport, sender: str) -> ProductionCheck:
    right = "The mail server accepts our password and sender. Send yourself a reset e-mail to see whether it arrives."
    return ProductionCheck("e-mail", right, lambda: find(transport, parseaddr(sender)[1]))


def find(transport: SmtpTransport, sender: str) -> Iterator[Shortcoming]:
    where = f"{transport.host}:{transport.port}"
    try:
        transport.try_sender(sender)
    except smtplib.SMTPAuthenticationError:
        yield Shortcoming(
            "The mail server refuses the user or the password.", "Correct EMAIL_HOST_USER and EMAIL_HOST_PASSWORD."
        )
    except smtplib.SMTPSenderRefused:
        yield Shortcoming(
            f"The mail server does not let us send as {sender}.",
            "Set DEFAULT_FROM_EMAIL to an address that it accepts.",
        )
    except ssl.SSLError:
        raise CannotAsk(
            f"The certificate of the mail server {where} is not valid.",
            "Set EMAIL_HOST to a name in its certificate. Port 465 is for TLS from the first byte, 587 for STARTTLS.",
        ) from None
    except smtplib.SMTPNotSupportedError:
        raise CannotAsk(
            f"The mail server {where} offers no STARTTLS or no sign-in.",
            "Use port 587, or 465 for TLS from the first byte.",
        ) from None
    except (OSError, smtplib.SMTPException) as error:
        raise CannotAsk(
            f"The mail server {where} cannot be asked ({type(error).__name__}).",
            "Check EMAIL_HOST and EMAIL_PORT. Many hosters block port 25.",
        ) from None

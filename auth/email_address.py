"""What is accepted as an e-mail address, and when two addresses are the same."""

import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

MAXIMUM_LENGTH = 254  # RFC 5321, 4.5.3.1.3, less the two angle brackets
IDEOGRAPHIC_FULL_STOP = "\u3002"  # IDNA reads it as a dot (RFC 3490, 3.1); other programs do not


class EmailAddressNotAcceptable(ValueError):
    """The text is no address that mail could be sent to, or it only looks like one."""


@dataclass(frozen=True)
class EmailAddress:
    """`address` is written to; `key` identifies the account: lower case, the domain in its ASCII form (RFC 5891).

    Dots and +tags are kept: which of them a mail host ignores is known to that host alone.
    """

    address: str
    key: str


def parse_email(text: str) -> EmailAddress:
    """Raises EmailAddressNotAcceptable.

    The text is normalised once, then checked, and only the result is used. Characters that stand for others (full-width
    @, Kelvin sign, ideographic full stop) are refused, so that a check and a mail server cannot read two different
    addresses in it.
    """
    composed = unicodedata.normalize("NFC", text)
    if len(composed) > MAXIMUM_LENGTH or any(_stands_for_another(character) for character in text):
        raise EmailAddressNotAcceptable("Enter an e-mail address in the correct format, such as name@example.com.")
    try:
        parsed = validate_email(
            composed,
            check_deliverability=False,
            strict=True,  # 64 bytes before the @ (RFC 5321, 4.5.3.1.1)
            allow_smtputf8=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
        )
    except EmailNotValidError as error:
        raise EmailAddressNotAcceptable(
            "Enter an e-mail address in the correct format, such as name@example.com."
        ) from error
    domain = parsed.ascii_domain.lower()
    return EmailAddress(address=f"{parsed.local_part}@{domain}", key=f"{parsed.local_part.lower()}@{domain}")


def _stands_for_another(character: str) -> bool:
    return character == IDEOGRAPHIC_FULL_STOP or unicodedata.normalize("NFKC", character) != character

"""What a reader of a message sees."""

import re
from email.message import EmailMessage


def text_of(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")  # as it comes over SMTP


def html_of(message: EmailMessage) -> str:
    part = message.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def link_in(message: EmailMessage) -> str:
    found = re.search(r"^https://\S+#token=\S+$", text_of(message), re.MULTILINE)
    assert found is not None, text_of(message)
    return found[0]


def token_in(message: EmailMessage) -> str:
    return link_in(message).partition("#token=")[2]


def code_in(message: EmailMessage) -> str:
    found = re.search(r"^[0-9]{6}$", text_of(message), re.MULTILINE)
    assert found is not None, text_of(message)
    return found[0]


def another(code: str) -> str:
    """Six digits that are not these."""
    return f"{(int(code) + 1) % 10**6:06}"

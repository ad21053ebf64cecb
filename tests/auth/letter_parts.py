"""What a reader of a letter sees."""

import re
from email.message import EmailMessage


def text_of(letter: EmailMessage) -> str:
    part = letter.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def html_of(letter: EmailMessage) -> str:
    part = letter.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def link_in(letter: EmailMessage) -> str:
    found = re.search(r"^https://\S+#token=\S+$", text_of(letter), re.MULTILINE)
    assert found is not None, text_of(letter)
    return found[0]


def token_in(letter: EmailMessage) -> str:
    return link_in(letter).partition("#token=")[2]


def code_in(letter: EmailMessage) -> str:
    found = re.search(r"^[0-9]{6}$", text_of(letter), re.MULTILINE)
    assert found is not None, text_of(letter)
    return found[0]


def another(code: str) -> str:
    """Six digits that are not these."""
    return f"{(int(code) + 1) % 10**6:06}"

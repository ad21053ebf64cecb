"""Texts that may be shown: addresses without what is secret in them, and sentences in which a secret may have got."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from settings.section import Section

HIDDEN = "***"
QUERY_SECRET = re.compile(r"(?<=password=)[^&]+")
SHORTEST = 8
"""Characters. To take out a shorter secret would be to take words apart; it could be guessed anyway."""


def without_secrets(url: str) -> str | None:
    """The address with `***` for its password; in one for a browser, where a key stands there, for the user too.

    None when that is not certain: a password with `/`, `?` or `#` in it ends the host's part too early.
    """
    parts = _split(url)
    if parts is None or any("@" in part for part in (parts.path, parts.query, parts.fragment)):
        return None
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    if at:
        user = HIDDEN if parts.scheme in {"http", "https"} else f"{name}{colon and ':' + HIDDEN}"
    return parts._replace(netloc=f"{user}{at}{host}", query=QUERY_SECRET.sub(HIDDEN, parts.query)).geturl()


@dataclass(frozen=True)
class Redactor:
    """Takes the secrets of these settings out of a text."""

    secrets: re.Pattern[str] | None

    @classmethod
    def of(cls, settings: Section) -> "Redactor":
        found = {text for name in type(settings).model_fields for text in _secrets_in(getattr(settings, name))}
        longest_first = sorted((text for text in found if len(text) >= SHORTEST), key=len, reverse=True)
        return cls(re.compile("|".join(map(re.escape, longest_first))) if longest_first else None)

    def __call__(self, text: str) -> str:
        return text if self.secrets is None else self.secrets.sub(HIDDEN, text)


def _secrets_in(value: object) -> Iterator[str]:
    """The whole, and the password in an address, as it stands there and as it is meant."""
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        yield text
        parts = _split(text)
        if parts is None or not parts.netloc:
            yield from re.split(r"[,:\s]+", text)  # of several keys with their names, each
        else:
            key = parts.username if parts.scheme in {"http", "https"} else None
            for part in filter(None, (parts.password, key, *QUERY_SECRET.findall(parts.query))):
                yield part
                yield unquote(part)


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None

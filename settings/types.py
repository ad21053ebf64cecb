"""The forms that the text of a setting may have, where more than one section needs them.

Each is a type; its error says what is expected and never shows the value.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, BeforeValidator, SecretStr

from security.edge.origin import origin_of as origin_of_address
from security.logs.folder import unusable
from security.secrets.signing_keys import key_bytes

HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9_-]{0,62})(\.[a-z0-9]([a-z0-9_-]{0,62}))*")
APP_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._-]+")
POSTGRES_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2", "postgresql+asyncpg")
"""SQLAlchemy's driver may be named: a URL from another program stands for the same server (database/engine.py)."""
NOT_OF_APPS = frozenset({"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "vbscript", "ws", "wss"})
"""Schemes that browsers read themselves (URL standard, HTML standard): none of them is an app's."""


def split_url(text: str, *schemes: str) -> SplitResult:
    """The parts of an absolute URL.

    Raises ValueError for another scheme, a missing host or a port that is no number.
    """
    expected = f"must be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in schemes or not host or any(character.isspace() for character in text):
        raise ValueError(expected)
    return parts


def comma_list(text: str) -> frozenset[str]:
    return frozenset(item for item in (part.strip() for part in text.split(",")) if item)


COMMA_LIST = BeforeValidator(comma_list)
"""`a, b` as a set. The default of a text setting would be to read JSON, which nobody types into a dashboard."""


def origin_of(text: str) -> str:
    """`scheme://host[:port]` as browsers send `Origin` (RFC 6454, 6.2): lower case, no default port."""
    parts = split_url(text, "http", "https")
    origin = origin_of_address(text)
    if origin is None or parts.path or parts.query or parts.fragment or "*" in text:
        raise ValueError("must be exact origins such as https://app.example.com, without a path or a wildcard")
    return origin


def _client_origin(text: str) -> str:
    """A web origin, or that of a hybrid app, whose pages have a scheme of their own: `capacitor://localhost`."""
    scheme = text.partition(":")[0].lower()
    if scheme in {"http", "https"}:
        return origin_of(text)
    if APP_ORIGIN.fullmatch(text) is None or scheme in NOT_OF_APPS:
        raise ValueError("must be exact origins such as https://app.example.com or capacitor://localhost")
    return text.lower()


def web_origins(origins: frozenset[str]) -> frozenset[str]:
    """Those of pages on the web."""
    return frozenset(origin for origin in origins if origin.startswith(("https://", "http://")))


def _host_name(text: str) -> str:
    """A host as it stands in the `Host` header, without its port. A leading dot means every name below it."""
    name = text.lower()
    if HOST_NAME.fullmatch(name.removeprefix(".")) is None:
        raise ValueError("must be host names such as api.example.com, without a scheme or a port")
    return name


def _base_url(text: str) -> str:
    parts = split_url(text, "http", "https")
    if parts.query or parts.fragment or parts.username is not None or parts.path.strip("/"):
        raise ValueError("must have only a scheme and a host, such as https://api.example.com")
    return text.rstrip("/")


def _http_url(text: str) -> str:
    split_url(text, "http", "https")
    return text


class SecretUrl(SecretStr):
    """An address with a password or a key in it. The rest of it may be shown (settings/redact.py)."""


def readable(read: Callable[[str], object]) -> AfterValidator:
    """Checked by reading it as the part that will use it does, so that no process starts with what that refuses."""

    def check(value: SecretStr) -> SecretStr:
        read(value.get_secret_value())
        return value

    return AfterValidator(check)


def _dsn(text: str) -> None:
    """As Sentry's SDK reads it, which raises for others."""
    parts = split_url(text, "https", "http")
    if not parts.username or not parts.path.rpartition("/")[2].isdecimal():
        raise ValueError("must be a DSN as Sentry shows it: https://key@host/project")


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(expected)
        return text

    return check


def _signing_key_file(value: SecretStr) -> SecretStr:
    """A .p8 file. Dashboards that know no line breaks get them as `\\n`."""
    pem = value.get_secret_value().replace("\\n", "\n")
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return SecretStr(pem)
    raise ValueError("must be the content of the .p8 file, a P-256 key in PEM")


def _log_folder(folder: Path) -> Path:
    if problem := unusable(folder):
        raise ValueError(problem)
    return folder


UpperCase = BeforeValidator(str.upper)
LowerCase = BeforeValidator(str.lower)

Origins = Annotated[frozenset[Annotated[str, AfterValidator(_client_origin)]], COMMA_LIST]
HostName = Annotated[str, AfterValidator(_host_name)]
HostNames = Annotated[frozenset[HostName], COMMA_LIST]
Names = Annotated[frozenset[str], COMMA_LIST]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
PostgresUrl = Annotated[SecretUrl, readable(lambda text: split_url(text, *POSTGRES_SCHEMES))]
RedisUrl = Annotated[SecretUrl, readable(lambda text: split_url(text, "redis", "rediss"))]
SentryDsn = Annotated[SecretUrl, readable(_dsn)]
LogFolder = Annotated[Path, AfterValidator(_log_folder)]
LongKey = Annotated[SecretStr, readable(key_bytes)]
SecurityContact = Annotated[
    str,
    AfterValidator(
        matching(
            r"mailto:[^\s@]+@[^\s@]+\.[^\s@]+|https://\S+",
            "must be an address such as mailto:security@example.com or https://example.com/security",
        )
    ),
]
AppleKeyId = Annotated[str, AfterValidator(matching(r"[A-Z0-9]{10}", "must be the key's ten characters"))]
AppleSigningKey = Annotated[SecretStr, AfterValidator(_signing_key_file)]

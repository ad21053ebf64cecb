"""The forms that the text of a setting may have.

Each is a type; its error says what is expected and never shows the value. The web server's master process reads this too,
so it imports no client of a server: they would cost it 150 MB.
"""

import base64
import binascii
import re
import uuid
from collections.abc import Callable
from email.utils import formataddr, getaddresses
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, BeforeValidator, FilePath, SecretStr

from auth.email_address import parse_email
from auth.password_hashing.breached import PwnedPasswords, PwnedPasswordsUnusable
from auth.tokens.access_keys import AccessKeyRing
from payments.product_table import ProductTable
from security.secrets.signing_keys import PrivateServerKeys

KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9_-]{0,62})(\.[a-z0-9]([a-z0-9_-]{0,62}))*")
APP_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._-]+")
NOT_OF_APPS = frozenset({"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "vbscript", "ws", "wss"})
"""Schemes that browsers read themselves (URL standard, HTML standard): none of them is an app's."""
MINIMUM_KEY_BYTES = 32


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


def _comma_list(text: object) -> object:
    """`a, b` as a set.

    The default of a text setting would be to read JSON, which nobody types into a dashboard.
    """
    if not isinstance(text, str):
        return text
    return frozenset(item for item in (part.strip() for part in text.split(",")) if item)


def _origin(text: str) -> str:
    """`scheme://host[:port]` as browsers send `Origin` (RFC 6454, 6.2): lower case, no default port."""
    parts = split_url(text, "http", "https")
    if parts.path or parts.query or parts.fragment or parts.username is not None or "*" in text:
        raise ValueError("must be exact origins such as https://app.example.com, without a path or a wildcard")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    default_port = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in {None, default_port} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def origin_of(url: str) -> str:
    """The origin of an absolute URL without a path."""
    return _origin(url)


def _client_origin(text: str) -> str:
    """A web origin, or that of a hybrid app, whose pages have a scheme of their own: `capacitor://localhost`."""
    scheme = text.partition(":")[0].lower()
    if scheme in {"http", "https"}:
        return _origin(text)
    if APP_ORIGIN.fullmatch(text) is None or scheme in NOT_OF_APPS:
        raise ValueError("must be exact origins such as https://app.example.com or capacitor://localhost")
    return text.lower()


def web_origins(origins: frozenset[str]) -> frozenset[str]:
    """Those of pages on the web."""
    return frozenset(origin for origin in origins if origin.startswith(("https://", "http://")))


def _passkey_origin(text: str) -> str:
    """A web origin, or an Android app by the SHA-256 of its signing certificate in base64url."""
    if text.startswith("android:"):
        if re.fullmatch(r"android:apk-key-hash:[A-Za-z0-9_-]{43}", text) is None:
            raise ValueError("must name an Android app as android:apk-key-hash: and 43 characters of base64url")
        return text
    return _origin(text)


def _host_name(text: str) -> str:
    """A host as it stands in the `Host` header, without its port. A leading dot means every name below it."""
    name = text.lower()
    if HOST_NAME.fullmatch(name.removeprefix(".")) is None:
        raise ValueError("must be host names such as api.example.com, without a scheme or a port")
    return name


def _base_url(text: str) -> str:
    parts = split_url(text, "http", "https")
    if parts.query or parts.fragment or parts.username is not None or parts.path.strip("/"):
        raise ValueError("must be scheme and host alone, such as https://api.example.com")
    return text.rstrip("/")


def _private_api_url(text: str) -> str:
    parts = split_url(text, "http", "https")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be scheme, host, port and path alone")
    return text.rstrip("/")


def _http_url(text: str) -> str:
    split_url(text, "http", "https")
    return text


def _path(text: str) -> str:
    if re.fullmatch(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+", text) is None:
        raise ValueError("must be a path such as /predict")
    return text


def _shaped(pattern: str, expected: str) -> Callable[[SecretStr], SecretStr]:
    def check(value: SecretStr) -> SecretStr:
        if re.fullmatch(pattern, value.get_secret_value()) is None:
            raise ValueError(expected)
        return value

    return check


def key_bytes(text: str) -> bytes:
    """The key behind a setting: `msk_` and base64, or the characters themselves.

    Raises ValueError when it is too short.
    """
    try:
        key = base64.b64decode(text[4:], validate=True) if text.startswith("msk_") else text.encode()
    except binascii.Error:
        raise ValueError("must be base64 after msk_") from None
    if len(key) < MINIMUM_KEY_BYTES:
        raise ValueError(f"must be at least {MINIMUM_KEY_BYTES} bytes long")
    return key


def _readable(read: Callable[[str], object]) -> AfterValidator:
    """Checked by reading it as the part that will use it does, so that no process starts with what that refuses."""

    def check(value: SecretStr) -> SecretStr:
        read(value.get_secret_value())
        return value

    return AfterValidator(check)


def named_keys(text: str) -> dict[str, str]:
    """`k2:…,k1:…` as a mapping from key id to the key's text, in the order given."""
    keys: dict[str, str] = {}
    for entry in text.split(","):
        key_id, separator, key = entry.strip().partition(":")
        if not separator or KEY_ID.fullmatch(key_id) is None or key_id in keys:
            raise ValueError("must be id:key pairs with different ids, separated by commas, such as k2:msk_…,k1:msk_…")
        key_bytes(key)
        keys[key_id] = key
    return keys


def _dsn(text: str) -> None:
    """As Sentry's SDK reads it, which raises for others."""
    parts = split_url(text, "https", "http")
    if not parts.username or not parts.path.rpartition("/")[2].isdecimal():
        raise ValueError("must be a DSN as Sentry shows it: https://key@host/project")


def _password_list(path: Path) -> Path:
    try:
        PwnedPasswords(path)
    except PwnedPasswordsUnusable:
        raise ValueError("must be a file that begins with SHA-1 hashes in hexadecimal, one a line") from None
    return path


def _sender(text: str) -> str:
    """`Name <address>` or an address alone, as it stands in From (RFC 5322, 3.6.2)."""
    (name, address), *others = getaddresses([text]) or [("", "")]
    if others or not text.isprintable() or not text.isascii() or address.count("@") != 1 or not all(address.split("@")):
        raise ValueError("must be an address, or Name <address>")
    return formataddr((name, address))


def _products(text: str) -> str:
    ProductTable.read(text)
    return text


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(expected)
        return text

    return check


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("must be a UUID") from None


def _email_key(text: str) -> str:
    try:
        return parse_email(text).key
    except ValueError:
        raise ValueError("must be e-mail addresses, separated by commas") from None


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


def _upper_case(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


def _lower_case(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


UpperCase = BeforeValidator(_upper_case)
LowerCase = BeforeValidator(_lower_case)

Origins = Annotated[frozenset[Annotated[str, AfterValidator(_client_origin)]], BeforeValidator(_comma_list)]
PasskeyOrigins = Annotated[frozenset[Annotated[str, AfterValidator(_passkey_origin)]], BeforeValidator(_comma_list)]
HostName = Annotated[str, AfterValidator(_host_name)]
HostNames = Annotated[frozenset[HostName], BeforeValidator(_comma_list)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
PrivateApiUrl = Annotated[str, AfterValidator(_private_api_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Sender = Annotated[str, AfterValidator(_sender)]
ClientIds = Annotated[frozenset[str], BeforeValidator(_comma_list)]
UrlPath = Annotated[str, AfterValidator(_path)]
PostgresUrl = Annotated[
    SecretStr, _readable(lambda text: split_url(text, "postgresql", "postgres", "postgresql+psycopg2"))
]
RedisUrl = Annotated[SecretStr, _readable(lambda text: split_url(text, "redis", "rediss"))]
SentryDsn = Annotated[SecretStr, _readable(_dsn)]
LongKey = Annotated[SecretStr, _readable(key_bytes)]
AccessKeysText = Annotated[SecretStr, _readable(AccessKeyRing.read)]
DataKeysText = Annotated[SecretStr, _readable(named_keys)]
PrivateServerSecret = Annotated[SecretStr, _readable(lambda text: PrivateServerKeys.from_settings(secret=text))]
PrivateServerKeysText = Annotated[SecretStr, _readable(lambda text: PrivateServerKeys.from_settings(keys=text))]
PasswordList = Annotated[FilePath, AfterValidator(_password_list)]
StripeKey = Annotated[
    SecretStr,
    AfterValidator(
        _shaped(r"(sk|rk)_(test|live)_[A-Za-z0-9_]+", "must begin with sk_test_, sk_live_, rk_test_ or rk_live_")
    ),
]
StripeWebhookSecrets = Annotated[
    SecretStr, AfterValidator(_shaped(r"whsec_[^\s,]+(\s*,\s*whsec_[^\s,]+)*", "must begin with whsec_"))
]
AppleSharedSecret = Annotated[SecretStr, AfterValidator(_shaped(r"[0-9A-Fa-f]{32}", "must be 32 hexadecimal digits"))]
AppleBundleId = Annotated[
    str, AfterValidator(_matching(r"[A-Za-z0-9.-]{1,155}", "must be a bundle id such as com.example.app"))
]
AppleKeyId = Annotated[str, AfterValidator(_matching(r"[A-Z0-9]{10}", "must be the key's ten characters"))]
AppleTeamId = Annotated[str, AfterValidator(_matching(r"[A-Z0-9]{10}", "must be the team's ten characters"))]
AppleIssuerId = Annotated[str, AfterValidator(_uuid)]
AppleSigningKey = Annotated[SecretStr, AfterValidator(_signing_key_file)]
EmailKeys = Annotated[frozenset[Annotated[str, AfterValidator(_email_key)]], BeforeValidator(_comma_list)]
ProductsText = Annotated[str, AfterValidator(_products)]
"""Products of one provider: payments/product_table.py."""

"""The settings of predictions: the private server, and how many may wait for it."""

import secrets
from base64 import b64encode
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from security.secrets.signing_keys import PrivateServerKeys, named_keys
from settings import types
from settings.private_hosts import is_private_host
from settings.section import Complaint, Place, secret_text, secret_texts
from settings.web_server import WebServerSection


class ResponseVerification(StrEnum):
    """`if_present` helps to introduce signing; it is no defence against an attacker."""

    REQUIRED = "required"
    IF_PRESENT = "if_present"
    OFF = "off"


def _private_api_url(text: str) -> str:
    parts = types.split_url(text, "http", "https")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must have only a scheme, host, port and path")
    return text.rstrip("/")


Path = Annotated[
    str,
    AfterValidator(types.matching(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+", "must be a path such as /predict")),
]
PrivateServerSecret = Annotated[SecretStr, types.readable(lambda text: PrivateServerKeys.from_settings(secret=text))]
PrivateServerKeysText = Annotated[SecretStr, types.readable(lambda text: PrivateServerKeys.from_settings(keys=text))]


class PredictSection(WebServerSection):
    title: ClassVar = "Predictions from the private server"
    in_example: ClassVar = frozenset({"private_api_secret"})

    private_api_url: Annotated[str, AfterValidator(_private_api_url)] = Field(examples=["http://127.0.0.1:9000"])
    """The address of your private prediction server. Plain http is only allowed on loopback and private networks."""
    private_api_path: Path = "/predict"
    """The path on the private server that predictions are posted to."""
    private_api_secret: PrivateServerSecret | None = Field(
        default=None, examples=["development-only-signing-key-change-me-51c2"]
    )
    """The key `k1` that signs requests to the private server. At least 32 bytes; set the same value there."""
    private_api_keys: PrivateServerKeysText | None = Field(default=None, examples=["k2:msk_...,k1:msk_..."])
    """Several keys instead of the one secret: `k2:msk_…,k1:msk_…`, each in base64. The first signs, all verify."""
    private_api_verify_response: Annotated[ResponseVerification, types.LowerCase] = Field(examples=["required"])
    """Whether the private server's answers must be signed: `required`, `if_present` or `off`. Default: `required` over
    http, otherwise `if_present`."""
    private_api_timeout: float = Field(default=30, gt=0, le=300)
    """The longest time that a prediction may take in total, in seconds."""
    predict_max_in_flight: int = Field(ge=1, examples=["525"])
    """How many predictions one process may have in progress. Any more get 503. Default: 7/8 of `WEB_THREADS`."""

    @staticmethod
    def defaults(place: Place) -> dict[str, str]:
        over_https = place.texts.get("PRIVATE_API_URL", "").startswith("https:")
        defaults = {
            "private_api_verify_response": "if_present" if over_https else "required",
            "predict_max_in_flight": _most_in_flight(place.texts.get("WEB_THREADS")),
        }
        if place.is_development:
            defaults["private_api_url"] = "http://127.0.0.1:9000"
            if "PRIVATE_API_KEYS" not in place.texts:
                defaults["private_api_secret"] = secrets.token_urlsafe(48)
        return defaults

    @staticmethod
    def stand_ins() -> dict[str, str]:
        return {
            "private_api_url": "https://stand-in.invalid",
            "private_api_keys": f"k1:msk_{b64encode(secrets.token_bytes(48)).decode()}",
        }

    def contradictions(self) -> Iterator[Complaint]:
        if self.predict_max_in_flight >= self.web_threads:
            yield "PREDICT_MAX_IN_FLIGHT", "must be below WEB_THREADS, otherwise predictions could use every thread"
        if self.private_api_secret is None and self.private_api_keys is None:
            yield "PRIVATE_API_SECRET", "must be set, unless you set PRIVATE_API_KEYS"
        if self.private_api_secret is not None and self.private_api_keys is not None:
            yield "PRIVATE_API_KEYS", "cannot be set together with PRIVATE_API_SECRET; remove one of them"

    def unsafe(self) -> Iterator[Complaint]:
        """Over plain http nothing but the signature tells the private server's answer from a stranger's."""
        parts = urlsplit(self.private_api_url)
        if parts.scheme == "https":
            return
        if not is_private_host(parts.hostname or ""):
            yield (
                "PRIVATE_API_URL",
                "must begin with https://, except on loopback and private networks (link-local addresses do "
                "not count as private)",
            )
        if self.private_api_verify_response is not ResponseVerification.REQUIRED:
            yield "PRIVATE_API_VERIFY_RESPONSE", "must be required if PRIVATE_API_URL is plain http"

    def secrets(self) -> dict[str, str]:
        """Keys of the ring are named with their id."""
        texts = secret_texts(private_api_secret=self.private_api_secret)
        if self.private_api_keys is not None:
            ring = named_keys(self.private_api_keys.get_secret_value())
            texts |= {f"PRIVATE_API_KEYS ({key_id})": key for key_id, key in ring.items()}
        return texts

    def longest_request(self) -> float:
        return self.private_api_timeout

    @property
    def private_server_keys(self) -> PrivateServerKeys:
        return PrivateServerKeys.from_settings(
            secret=secret_text(self.private_api_secret), keys=secret_text(self.private_api_keys)
        )


def _most_in_flight(web_threads: str | None) -> str:
    """Seven eighths, so that health checks, sign-in and usage always find a thread."""
    threads = int(web_threads) if web_threads is not None and web_threads.isdecimal() else 600
    return str(max(1, threads - max(1, threads // 8)))

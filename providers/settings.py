"""The settings of AI providers. The section of a capability that calls one inherits from the provider's."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from providers.catalogue import Model, model_named
from settings import types
from settings.private_hosts import is_private_host
from settings.process import ProcessSection
from settings.section import Complaint, Place, secret_text

OPENAI = "openai"
OPENAI_URL = "https://api.openai.com/v1"
PLACEHOLDER = re.compile(r"\.\.\.|…|<.*>|\byour\b|\byour[-_]|x{4,}|change-?me", re.IGNORECASE)
"""What stands in documents instead of a key: `sk-...`."""


def _provider_url(text: str) -> str:
    parts = types.split_url(text, "http", "https")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must have only a scheme, host, port and path")
    return text.rstrip("/")


def _one_word(text: str) -> None:
    """It goes into a header. Raises ValueError."""
    if re.fullmatch(r"[!-~…]{1,500}", text) is None:
        raise ValueError("must be the key as the provider shows it, without blanks")


ProviderUrl = Annotated[str, AfterValidator(_provider_url)]
ProviderKey = Annotated[SecretStr, types.readable(_one_word)]
ModelName = Annotated[
    str, AfterValidator(types.matching(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}", "must be a model's name, like gpt-6-luna"))
]


class OpenAISection(ProcessSection):
    title: ClassVar = "OpenAI"

    openai_api_key: ProviderKey | None = Field(default=None, examples=["sk-..."])
    """The key for OpenAI. In development you need none: without it a mock answers."""
    openai_model: ModelName = "gpt-6-luna"
    """The model that is asked when a request names none. `providers/catalogue.toml` lists those that are known."""
    openai_timeout_s: float = Field(default=30, gt=0, le=300)
    """The longest time that a call to OpenAI may take in total, in seconds."""
    openai_base_url: ProviderUrl = OPENAI_URL
    """Where OpenAI's API is, or another server that speaks its format. Plain http is only allowed on loopback and private
    networks."""
    use_mock_openai: bool = Field(examples=["true"])
    """Answer without OpenAI, always the same for the same picture, and marked `mock`. Refused outside development. Default: on in
    development when neither `OPENAI_API_KEY` nor `OPENAI_BASE_URL` is set."""

    @staticmethod
    def defaults(place: Place) -> dict[str, str]:
        has_key = not _is_placeholder(place.texts.get("OPENAI_API_KEY", ""))
        mock = place.is_development and not has_key and "OPENAI_BASE_URL" not in place.texts
        return {"use_mock_openai": str(mock).lower()}

    def contradictions(self) -> Iterator[Complaint]:
        if self.use_mock_openai:
            return
        key = secret_text(self.openai_api_key)
        if key is None:
            yield "OPENAI_API_KEY", "must be set, unless USE_MOCK_OPENAI is on (in development only)"
        elif _is_placeholder(key):
            yield "OPENAI_API_KEY", "is a placeholder; set the key that platform.openai.com shows you"

    def unsafe(self) -> Iterator[Complaint]:
        if self.use_mock_openai:
            yield "USE_MOCK_OPENAI", "must be off: the mock solves nothing"
        parts = urlsplit(self.openai_base_url)
        if parts.scheme != "https" and not is_private_host(parts.hostname or ""):
            yield (
                "OPENAI_BASE_URL",
                "must begin with https://, except on loopback and private networks (link-local addresses do "
                "not count as private)",
            )

    def remarks(self) -> Iterator[str]:
        yield from model_remarks("OPENAI_MODEL", self.openai_default_model, datetime.now(UTC).date())
        if self.openai_base_url == OPENAI_URL and not self.openai_default_model.listed:
            yield "OPENAI_MODEL is not in providers/catalogue.toml, so its cost is not known. Check its spelling"

    def longest_request(self) -> float:
        return self.openai_timeout_s

    @property
    def openai_default_model(self) -> Model:
        return model_named(OPENAI, self.openai_model)


def model_remarks(variable: str, model: Model, today: date) -> Iterator[str]:
    if model.shut_down is None:
        return
    was_shut_down = model.is_shut_down(today)
    verb = "was shut down" if was_shut_down else "will be shut down"
    yield f"{variable} names {model.id}, which {verb} on {model.shut_down}. Choose a newer model"


def picture_complaints(variable: str, model: Model) -> Iterator[Complaint]:
    """For a capability that sends pictures."""
    if not model.pictures:
        yield variable, f"names {model.id}, which does not read pictures"


def _is_placeholder(key: str) -> bool:
    return not key or PLACEHOLDER.search(key) is not None

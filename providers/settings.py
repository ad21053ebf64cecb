"""The settings of AI providers. The section of a capability that calls them inherits from this one."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from providers.audio_models import Listener, Speaker
from providers.catalogue import Catalogue, Model, read_catalogue
from settings import types
from settings.private_hosts import is_private_host
from settings.process import ProcessSection
from settings.section import Complaint, Place, secret_text

OPENAI, ANTHROPIC, GOOGLE, GROQ = "openai", "anthropic", "google", "groq"
OPENAI_URL = "https://api.openai.com/v1"
TITLES: Final[Mapping[str, str]] = {OPENAI: "OpenAI", ANTHROPIC: "Anthropic", GOOGLE: "Google", GROQ: "Groq"}
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


def _catalogue_file(file: Path) -> Path:
    read_catalogue(file)
    return file


ProviderUrl = Annotated[str, AfterValidator(_provider_url)]
ProviderKey = Annotated[SecretStr, types.readable(_one_word)]
ModelName = Annotated[
    str, AfterValidator(types.matching(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}", "must be a model's name, like gpt-6-luna"))
]
CatalogueFile = Annotated[Path, AfterValidator(_catalogue_file)]


class ProvidersSection(ProcessSection):
    title: ClassVar = "AI providers"

    openai_api_key: ProviderKey | None = Field(default=None, examples=["sk-..."])
    """The key for OpenAI. In development you need none: without it a mock answers."""
    openai_base_url: ProviderUrl = OPENAI_URL
    """Where OpenAI's API is, or another server that speaks its format. Plain http is only allowed on loopback and private
    networks. The same holds for the addresses of the other providers."""
    openai_model: ModelName = "gpt-6-luna"
    """The model of OpenAI that image solving asks when a request names none. `providers/catalogue.toml` lists those that are known."""
    openai_timeout_s: float = Field(default=30, gt=0, le=300)
    """The longest time that image solving gives OpenAI in total, in seconds."""
    use_mock_openai: bool = Field(examples=["true"])
    """Answer without OpenAI, always the same for the same picture, and marked `mock`. Refused outside development. Default: on in
    development when neither `OPENAI_API_KEY` nor `OPENAI_BASE_URL` is set."""
    anthropic_api_key: ProviderKey | None = Field(default=None, examples=["sk-ant-..."])
    """The key for Anthropic. A provider without a key is not used."""
    anthropic_base_url: ProviderUrl = "https://api.anthropic.com"
    """Where Anthropic's API is, without `/v1`."""
    google_api_key: ProviderKey | None = Field(default=None, examples=["AIza..."])
    """The key for Google's Gemini API."""
    google_base_url: ProviderUrl = "https://generativelanguage.googleapis.com/v1beta/openai"
    """Where Google's API in OpenAI's format is."""
    groq_api_key: ProviderKey | None = Field(default=None, examples=["gsk_..."])
    """The key for Groq."""
    groq_base_url: ProviderUrl = "https://api.groq.com/openai/v1"
    """Where Groq's API is."""
    model_catalogue: CatalogueFile | None = Field(default=None, examples=["/etc/mirroros/models.toml"])
    """A file in the form of `providers/catalogue.toml` to use in place of it: the models, their prices, and the plans that may use
    them."""

    @staticmethod
    def defaults(place: Place) -> dict[str, str]:
        has_key = not _is_placeholder(place.texts.get("OPENAI_API_KEY", ""))
        mock = place.is_development and not has_key and "OPENAI_BASE_URL" not in place.texts
        return {"use_mock_openai": str(mock).lower()}

    def unsafe(self) -> Iterator[Complaint]:
        if self.use_mock_openai:
            yield "USE_MOCK_OPENAI", "must be off: the mock solves nothing"
        for provider in TITLES:
            key = self._key_as_set(provider)
            if key is not None and _is_placeholder(key):
                yield f"{provider.upper()}_API_KEY", "is a placeholder; set the key that the provider shows you"
            parts = urlsplit(self.address_of(provider))
            if parts.scheme != "https" and not is_private_host(parts.hostname or ""):
                yield (
                    f"{provider.upper()}_BASE_URL",
                    "must begin with https://, except on loopback and private networks (link-local addresses do "
                    "not count as private)",
                )

    def warnings(self) -> Iterator[str]:
        today = datetime.now(UTC).date()
        if OPENAI in self.providers_set_up and self.openai_default_model.is_shut_down(today):
            yield from model_remarks("OPENAI_MODEL", self.openai_default_model, today)

    def remarks(self) -> Iterator[str]:
        if self.key_of(OPENAI) is None:
            return
        yield from model_remarks("OPENAI_MODEL", self.openai_default_model, datetime.now(UTC).date())
        if self.openai_base_url == OPENAI_URL and not self.openai_default_model.listed:
            yield "OPENAI_MODEL is not in the catalogue of models, so its cost is not known. Check its spelling"

    @property
    def catalogue(self) -> Catalogue:
        return read_catalogue(self.model_catalogue)

    @property
    def openai_default_model(self) -> Model:
        return self.catalogue.named(OPENAI, self.openai_model)

    @property
    def providers_set_up(self) -> list[str]:
        """Those that can be called, the mock among them."""
        mock = {OPENAI} if self.use_mock_openai else set()
        return [provider for provider in TITLES if provider in mock or self.key_of(provider) is not None]

    def key_of(self, provider: str) -> str | None:
        """None for what is no key, either."""
        key = self._key_as_set(provider)
        return None if key is None or _is_placeholder(key) else key

    def address_of(self, provider: str) -> str:
        address: str = getattr(self, f"{provider}_base_url")
        return address

    def _key_as_set(self, provider: str) -> str | None:
        return secret_text(getattr(self, f"{provider}_api_key"))


def model_remarks(variable: str, model: Model | Listener | Speaker, today: date) -> Iterator[str]:
    if model.shut_down is None:
        return
    verb = "was shut down" if model.shut_down <= today else "will be shut down"
    yield f"{variable} names {model.id}, which {verb} on {model.shut_down}. Choose a newer model"


def key_complaints(settings: ProvidersSection) -> Iterator[Complaint]:
    """For a capability that cannot do without OpenAI."""
    if OPENAI not in settings.providers_set_up:
        yield "OPENAI_API_KEY", "must be set to your key, unless USE_MOCK_OPENAI is on (in development only)"


def picture_complaints(variable: str, model: Model) -> Iterator[Complaint]:
    """For a capability that sends pictures."""
    if not model.pictures:
        yield variable, f"names {model.id}, which does not read pictures"


def _is_placeholder(key: str) -> bool:
    return not key or PLACEHOLDER.search(key) is not None

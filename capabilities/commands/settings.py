"""The settings of help with commands: where OpenRouter is, and what it is asked by default. There is no key: callers bring theirs."""

from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from providers.settings import ModelName, ProviderUrl
from settings.private_hosts import is_private_host
from settings.section import Complaint, Place
from settings.web_server import WebServerSection

MOST_IN_FLIGHT = 64
SECONDS_BESIDE_PROVIDER = 5.0
"""Settling."""


class CommandsSection(WebServerSection):
    title: ClassVar = "Help with commands"

    openrouter_base_url: ProviderUrl = "https://openrouter.ai/api/v1"
    """Where OpenRouter's API is. Callers send a key of their own, so there is none to set. Plain http is only allowed on loopback and
    private networks."""
    openrouter_default_model: ModelName = "openrouter/auto"
    """The model that is asked when a request names none. `openrouter/auto` lets OpenRouter choose."""
    openrouter_timeout_s: float = Field(default=30, gt=0, le=300)
    """The longest time that OpenRouter may take for one answer, in seconds."""

    @staticmethod
    def threads(place: Place) -> int:
        return MOST_IN_FLIGHT

    def unsafe(self) -> Iterator[Complaint]:
        parts = urlsplit(self.openrouter_base_url)
        if parts.scheme != "https" and not is_private_host(parts.hostname or ""):
            yield (
                "OPENROUTER_BASE_URL",
                "must begin with https://, except on loopback and private networks (link-local addresses do "
                "not count as private)",
            )

    def longest_request(self) -> float:
        return self.openrouter_timeout_s + SECONDS_BESIDE_PROVIDER

    @property
    def most_in_flight(self) -> int:
        """So many that other requests always find a thread."""
        return max(1, min(MOST_IN_FLIGHT, self.web_threads // 4))

"""The settings of image solving: what a solve costs, and how many may run."""

from collections.abc import Iterator
from typing import ClassVar, Final

from pydantic import Field

from providers.settings import ProvidersSection, key_complaints, picture_complaints
from settings.section import Complaint, Place
from settings.web_server import WebServerSection

MOST_IN_FLIGHT: Final = 32
SECONDS_BESIDE_PROVIDER: Final = 10.0
"""Waiting for a decoder, decoding, settling. Whoever still sends the picture loses nothing when the process ends."""


class SolveSection(ProvidersSection, WebServerSection):
    title: ClassVar = "Image solving"

    cost_per_request_cents: int = Field(default=100, ge=0, le=1_000_000)
    """What a solve costs in plans that have no price of their own, in cents. 0 makes it free. The setting
    `solve_price_cents` of `flask settings` replaces it at once for all plans, without a restart."""
    solve_max_output_tokens: int = Field(default=2048, ge=16, le=32_768)
    """The longest solution, in tokens of the model. It limits what a solve can cost you."""
    solve_max_in_flight: int = Field(default=MOST_IN_FLIGHT, ge=1, le=1024)
    """How many solves one process may have in progress. Any more get 503."""

    @staticmethod
    def threads(place: Place) -> int:
        most = place.texts.get("SOLVE_MAX_IN_FLIGHT", "")
        return int(most) if most.isdecimal() and len(most) <= 4 else MOST_IN_FLIGHT

    def contradictions(self) -> Iterator[Complaint]:
        if self.solve_max_in_flight >= self.web_threads:
            yield "SOLVE_MAX_IN_FLIGHT", "must be below WEB_THREADS, otherwise solves could use every thread"
        yield from key_complaints(self)
        if not self.use_mock_openai:
            yield from picture_complaints("OPENAI_MODEL", self.openai_default_model)

    def longest_request(self) -> float:
        return self.openai_timeout_s + SECONDS_BESIDE_PROVIDER

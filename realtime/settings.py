"""Where the realtime process is, and how many sockets it holds."""

from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from settings import types
from settings.database import DatabaseSection
from settings.metrics import MetricsSection
from settings.process import ProcessSection
from settings.section import Complaint, Place

USUAL_PORT = "8001"


class RealtimeSection(ProcessSection):
    title: ClassVar = "Sockets"

    realtime_port: int = Field(ge=0, le=65535, examples=[USUAL_PORT])
    """The port that the realtime process listens on. Default: `PORT` on Railway and Heroku, otherwise 8001."""
    realtime_public_url: types.BaseUrl | None = Field(default=None, examples=["http://localhost:8001"])
    """The address where clients open sockets, such as `https://realtime.example.com`. Default: `PUBLIC_BASE_URL`, which is right
    behind a proxy that sends `/socket.io/` and `/ws/` to the realtime process; in development `localhost` with `REALTIME_PORT`."""
    realtime_max_sockets: int = Field(default=5000, ge=1, le=50_000)
    """How many sockets the realtime process holds at once. Any more get 503."""
    realtime_max_per_address: int = Field(default=50, ge=1, le=50_000)
    """How many sockets may be open from one network address at once. Any more get 429."""
    realtime_drain_seconds: float = Field(default=35, ge=0, le=600)
    """How long the realtime process waits for replies in progress when it is told to stop, in seconds. Then it closes the sockets.
    At least 5 more than `CHAT_DRAIN_S`, so that those that were stopped then can be counted and told."""

    @staticmethod
    def defaults(place: Place) -> dict[str, str]:
        port = place.texts.get("REALTIME_PORT") or USUAL_PORT
        if place.is_development:
            return {"realtime_port": USUAL_PORT, "realtime_public_url": f"http://localhost:{port}"}
        on_platform = place.platform is not None and place.texts.get("PORT")
        return {"realtime_port": on_platform or USUAL_PORT}

    def unsafe(self) -> Iterator[Complaint]:
        if urlsplit(self.sockets_url).scheme != "https" and self.realtime_public_url is not None:
            yield "REALTIME_PUBLIC_URL", "must begin with https://"

    @property
    def sockets_url(self) -> str:
        return self.realtime_public_url or self.public_base_url


class RealtimeSections(RealtimeSection, MetricsSection, DatabaseSection):
    """All that this package reads."""

"""The parts of this package, put together for one application."""

from capabilities.chat.settings import ChatSection
from metering.parts import Built, Parts


def build_chat(parts: Parts, settings: ChatSection) -> Built:
    return Built(routes=())

"""The parts of this package, put together for one application."""

from capabilities.terminal.settings import TerminalSection
from metering.parts import Built, Parts


def build_terminal(parts: Parts, settings: TerminalSection) -> Built:
    return Built()

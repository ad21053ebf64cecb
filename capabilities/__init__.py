"""The products: the one place where they are registered. `CAPABILITIES` in the environment says which of them are on."""

from typing import Final

from capabilities.chat import CHAT
from capabilities.commands import COMMANDS
from capabilities.shop import SHOP
from capabilities.solve import SOLVE
from capabilities.terminal import TERMINAL
from gateway import PREDICT
from metering.capability import Capabilities

CAPABILITIES: Final[Capabilities] = (PREDICT, SOLVE, CHAT, SHOP, TERMINAL, COMMANDS)

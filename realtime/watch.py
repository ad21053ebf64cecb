"""Looks at every socket once a second."""

import asyncio
from typing import Any

from realtime.clients import Clients
from realtime.closing import SLOW
from realtime.sign_in import SignIn

LOOK_SECONDS = 1.0
BEHIND_SECONDS = 30.0
JUDGED_AGAIN_SECONDS = 60.0


async def watch(clients: Clients[Any], sign_in: SignIn) -> None:
    """For ever. Who reads too slowly is closed, and who was let in a minute ago is judged again."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for client in clients:
            if client.is_behind(BEHIND_SECONDS):
                client.end(SLOW)
            elif client.was_judged_before(JUDGED_AGAIN_SECONDS):
                sign_in.judge(client)

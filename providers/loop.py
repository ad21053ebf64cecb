"""The asyncio loop of this process on which AI providers are called."""

from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from database.loop_thread import LoopClosed, LoopThread
from providers.problems import CallStopped

Result = TypeVar("Result")


class ProviderLoop(LoopThread):
    def __init__(self) -> None:
        super().__init__("providers")

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Raises CallStopped when the loop has just been closed."""
        try:
            return super().start(coroutine)
        except LoopClosed:
            raise CallStopped(sent=0) from None

"""An asyncio loop in a thread of its own, for what must not hold up a request's thread, or goes on without one."""

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

END_SECONDS = 5.0
Result = TypeVar("Result")


@dataclass(eq=False)
class _Running:
    loop: asyncio.AbstractEventLoop
    at_end: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    thread: threading.Thread = field(init=False)


class LoopClosed(Exception):
    """This process ends."""


class LoopThread:
    """Nothing is started before the first use, and a forked process begins with nothing."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._running: _Running | None = None
        os.register_at_fork(after_in_child=partial(_begin_anew, weakref.ref(self)))

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Run it on the loop; cancelling the future cancels it. Raises LoopClosed when the loop has just been closed."""
        with self._lock:
            if self._running is None:
                self._running = _started(self._name)
                atexit.register(self.close)
            running = self._running
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, running.loop)
        except RuntimeError:  # it was closed a moment ago
            coroutine.close()
            raise LoopClosed from None

    def at_end(self, close: Callable[[], Awaitable[None]]) -> None:
        """From the loop itself: what to await once everything on it is cancelled."""
        if self._running is not None:
            self._running.at_end.append(close)

    def close(self) -> None:
        """Cancel all that runs on it, and wait for that. The next use starts it anew."""
        with self._lock:
            running, self._running = self._running, None
        if running is None:
            return
        running.loop.call_soon_threadsafe(running.loop.stop)
        running.thread.join(END_SECONDS)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._running = None  # the frame of its thread, which is not in this process, keeps it from being collected


def _begin_anew(reference: "weakref.ref[LoopThread]") -> None:
    if (loop := reference()) is not None:
        loop._forget()


def _started(name: str) -> _Running:
    running = _Running(asyncio.new_event_loop())
    running.thread = threading.Thread(target=_serve, args=(running,), name=name, daemon=True)
    running.thread.start()
    return running


def _serve(running: _Running) -> None:
    """Until it is told to stop. Then the calls are cancelled first, so that those who wait for them are told."""
    try:
        running.loop.run_forever()
        running.loop.run_until_complete(_end(running))
    finally:
        running.loop.close()


async def _end(running: _Running) -> None:
    while calls := asyncio.all_tasks() - {asyncio.current_task()}:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await running.loop.shutdown_asyncgens()
    for close in running.at_end:
        await close()

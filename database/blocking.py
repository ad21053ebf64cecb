"""Work that waits for PostgreSQL or Redis, which an asyncio loop that many share must never do."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar, TypeVarTuple, Unpack

from flask import Flask, current_app

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Blocking:
    """A few threads, each in the context of the application. Nothing is started before the first `adopt`."""

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._threads = threads
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None

    def adopt(self) -> None:
        """Take the present application for all that is done here."""
        with self._lock:
            if self._pool is None:
                app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
                self._pool = ThreadPoolExecutor(self._threads, self._name, initializer=lambda: app.app_context().push())

    async def run(self, work: Callable[[Unpack[Arguments]], Result], *arguments: *Arguments) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

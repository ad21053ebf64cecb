"""Where pictures are decoded: two threads of low priority, so that a storm of pictures cannot starve the rest of the process.

Pillow releases the interpreter's lock while it decodes, scales and encodes (record 0023).
"""

import ctypes
import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

from capabilities.solve.metrics import DECODE_SECONDS, DECODE_WAIT_SECONDS
from capabilities.solve.pictures.problems import DecodersBusy
from capabilities.solve.pictures.read_header import Header

if TYPE_CHECKING:
    from capabilities.solve.pictures.prepare import Prepared

THREADS: Final = 2
M_MMAP_THRESHOLD: Final = -3
"""mallopt(3)"""
NICENESS: Final = 10
LARGE_PIXELS: Final = 12_500_000
"""What is larger than a photo of 12 megapixels is decoded one at a time: such a picture may take 400 MB."""


class PictureDecoders:
    """One per process. Whoever asks waits `wait_seconds` for a thread, and then `decode_seconds` for the picture; beyond either
    DecodersBusy is raised. A thread that is late goes on to its end and takes nobody else meanwhile.
    """

    def __init__(self, *, wait_seconds: float = 2.0, decode_seconds: float = 5.0) -> None:
        _return_large_buffers()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pictures", initializer=_lower_priority)
        self._free = threading.Semaphore(THREADS)
        self._large = threading.Semaphore(1)
        self._wait_seconds = wait_seconds
        self._decode_seconds = decode_seconds

    def prepare(self, header: Header) -> "Prepared":
        """Raises DecodersBusy, and what prepare.py raises."""
        asked = monotonic()
        until = asked + self._wait_seconds
        is_large = header.width * header.height > LARGE_PIXELS
        held = [self._large, self._free] if is_large else [self._free]
        for number, places in enumerate(held):
            if not places.acquire(timeout=max(0.0, until - monotonic())):
                _release(held[:number])
                raise DecodersBusy
        DECODE_WAIT_SECONDS.observe(monotonic() - asked)
        prepared = self._pool.submit(_prepare, header)
        prepared.add_done_callback(partial(_after, held))
        try:
            return prepared.result(self._decode_seconds)
        except NotInTime:
            raise DecodersBusy from None


def _prepare(header: Header) -> "Prepared":
    from capabilities.solve.pictures.prepare import prepare  # noqa: PLC0415 - Pillow comes with the first picture

    with DECODE_SECONDS.labels(header.format.value).time():
        return prepare(header)


def _after(held: list[threading.Semaphore], _done: "Future[Prepared]") -> None:
    _release(held)


def _release(places: list[threading.Semaphore]) -> None:
    for each in places:
        each.release()


def _return_large_buffers() -> None:
    """A megabyte and more go back to the system when they are freed. Otherwise glibc keeps what bodies and pictures took, for
    each of many threads: 16 photos of 12 megapixels at once left a process at 540 MiB, and at 340 with this.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # not glibc
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**20)


def _lower_priority() -> None:
    """Linux gives every thread its own niceness; elsewhere the priority stays as it is."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)

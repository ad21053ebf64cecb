"""Where pictures are decoded: two processes of the lowest priority, so that neither a storm of pictures nor a fault in a decoder
touches anything else (record 0023).
"""

import ctypes
import os
import socket
import subprocess
import sys
import threading
import weakref
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import BinaryIO, Final

import structlog

from capabilities.solve.metrics import DECODE_SECONDS, DECODE_WAIT_SECONDS
from capabilities.solve.pictures.decoder.messages import message, messages
from capabilities.solve.pictures.decoder.picture import Prepared
from capabilities.solve.pictures.problems import DecodersBusy, PictureUnreadable
from capabilities.solve.pictures.read_header import Format, Header

PROCESSES: Final = 2
LOADER: Final = ("LD_LIBRARY_PATH",)
"""All that it gets of the environment: where some hosts keep Python's own library."""
M_MMAP_THRESHOLD: Final = -3
"""mallopt(3)"""
LARGE_PIXELS: Final = 12_500_000
"""What is larger than a photo of 12 megapixels is decoded one at a time: such a picture may take 400 MB."""


class PictureDecoders:
    """One per web process. Whoever asks waits `wait_seconds` for a decoder, and then `decode_seconds` for the picture; beyond either
    DecodersBusy is raised. A decoder that is late is ended.
    """

    def __init__(self, *, wait_seconds: float = 2.0, decode_seconds: float = 5.0) -> None:
        _return_large_buffers()
        self._free = threading.Semaphore(PROCESSES)
        self._large = threading.Semaphore(1)
        self._idle: list[DecoderProcess] = []
        self.close = weakref.finalize(self, _end, self._idle)
        self._wait_seconds = wait_seconds
        self._decode_seconds = decode_seconds

    @property
    def process_ids(self) -> list[int]:
        """Of those that wait for a picture."""
        return [each.id for each in self._idle]

    def prepare(self, header: Header) -> Prepared:
        """Raises DecodersBusy and PictureUnreadable."""
        asked = monotonic()
        until = asked + self._wait_seconds
        is_large = header.width * header.height > LARGE_PIXELS
        held = [self._large, self._free] if is_large else [self._free]
        for number, places in enumerate(held):
            if not places.acquire(timeout=max(0.0, until - monotonic())):
                _release(held[:number])
                raise DecodersBusy
        DECODE_WAIT_SECONDS.observe(monotonic() - asked)
        try:
            with DECODE_SECONDS.labels(header.format.value).time():
                return self._prepared(header)
        finally:
            _release(held)

    def _prepared(self, header: Header) -> Prepared:
        process = self._taken()
        try:
            prepared = process.prepare(header, self._decode_seconds)
        except PictureUnreadable:
            self._idle.append(process)
            raise
        except TimeoutError:
            process.end()
            raise DecodersBusy from None
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
        ) as error:  # it died of this picture, or said what it never says
            process.end()
            structlog.get_logger().error("picture_decoder_lost", format=header.format.value, cause=type(error).__name__)
            raise PictureUnreadable from None
        except BaseException:
            process.end()
            raise
        self._idle.append(process)
        return prepared

    def _taken(self) -> "DecoderProcess":
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return DecoderProcess()
        except OSError as error:  # the system has no more processes, memory or files
            structlog.get_logger().error("picture_decoder_not_started", cause=type(error).__name__)
            raise DecodersBusy from None


class DecoderProcess:
    """It ends by itself with the process that started it, for then its socket is closed. It is told no secret."""

    def __init__(self) -> None:
        self._socket, other = socket.socketpair()
        with ExitStack() as on_failure, other:
            on_failure.callback(self._socket.close)
            self._process = subprocess.Popen(  # noqa: S603 - our own
                [sys.executable, "-m", Path(__file__).with_name("decoder").name],
                cwd=Path(__file__).parent,
                env={name: os.environ[name] for name in LOADER if name in os.environ},
                stdin=other.fileno(),
                stdout=other.fileno(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            on_failure.pop_all()
        self._answers: BinaryIO = self._socket.makefile("rb")

    def prepare(self, header: Header, seconds: float) -> Prepared:
        """Raises PictureUnreadable, TimeoutError, and OSError, ValueError, KeyError or TypeError when it died or makes no sense."""
        self._socket.settimeout(seconds)
        picture = {"format": header.format.value, "may_stay": header.may_stay}
        for part in message({"picture": picture}, header.data, header.exif):
            self._socket.sendall(part)
        for fields, contents in messages(self._answers):
            if (cause := fields.get("unreadable")) is not None:
                structlog.get_logger().info("picture_unreadable", format=header.format.value, cause=cause)
                raise PictureUnreadable
            if not (contents[0] or header.may_stay):
                raise ValueError("A decoder kept what must not stay as it is")
            made = fields["made"]
            return Prepared(Format(made["format"]), int(made["width"]), int(made["height"]), contents[0] or header.data)
        raise ConnectionError

    @property
    def id(self) -> int:
        return self._process.pid

    def end(self) -> None:
        self._answers.close()
        self._socket.close()
        self._process.kill()
        self._process.wait()


def _end(processes: list[DecoderProcess]) -> None:
    while processes:
        processes.pop().end()


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

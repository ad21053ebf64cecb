"""Prepare one picture after another, until the web process that started this one closes the socket or ends."""

import os
import resource
import sys
from contextlib import suppress

from .messages import message, messages
from .picture import Picture
from .prepare import prepare

MOST_MEMORY = 1024 * 1024 * 1024
"""Bytes of addresses. The worst picture that is taken needs 400 MB."""


def main() -> None:
    _limit_itself()
    with os.fdopen(0, "rb") as asked, os.fdopen(1, "wb") as answers:
        for fields, (data, exif) in messages(asked):
            answers.writelines(_answer(Picture(data=data, exif=exif, **fields["picture"])))
            answers.flush()


def _answer(picture: Picture) -> list[bytes]:
    try:
        made = prepare(picture)
    except Exception as error:  # a decoder may raise anything for a file that was made to break it
        return message({"unreadable": type(error).__name__})
    said = {"format": made.format, "width": made.width, "height": made.height}
    is_kept = made.data is picture.data  # the other side has it
    return message({"made": said}, b"" if is_kept else made.data)


def _limit_itself() -> None:
    """What a fault in a decoder could be used for: no file is written, and memory ends. Of the lowest priority, so that every
    thread of a request comes first (sched(7), SCHED_IDLE).
    """
    for limit, most in ((resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, MOST_MEMORY)):
        with suppress(OSError, ValueError):  # less is allowed already
            resource.setrlimit(limit, (most, most))
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


if __name__ == "__main__":
    main()

"""A log line as bytes: JSON for programs, or a line for a person's terminal. No value can break either of them."""

import re
import sys
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from structlog.types import EventDict

Render = Callable[[Any, str, EventDict], bytes]

# Characters that orjson leaves as they are and that some terminals and readers take for a command or a new
# line: DEL, the 8-bit controls (among them CSI), and the line and paragraph separators.
_UNSAFE_IN_UTF8 = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
_UNSAFE_IN_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def json_line(_logger: Any, _method: str, event: EventDict) -> bytes:
    line = orjson.dumps(event)
    if line.isascii() and b"\x7f" not in line:
        return line
    return _UNSAFE_IN_UTF8.sub(lambda match: rb"\u%04x" % ord(match[0].decode()), line)


def terminal_line() -> Render:
    """In colour where standard output is a terminal."""
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stdout.isatty(), sort_keys=False, exception_formatter=structlog.dev.plain_traceback
    )

    def render(logger: Any, method: str, event: EventDict) -> bytes:
        exception = [f"    {_printable(line)}" for line in str(event.pop("exception", "")).split("\n") if line]
        shown = {_printable(name): _printable(value) for name, value in event.items() if value is not None}
        return "\n".join((console(logger, method, shown), *exception)).encode()

    return render


def _printable(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _UNSAFE_IN_TEXT.sub(lambda match: f"\\u{ord(match[0]):04x}", value)

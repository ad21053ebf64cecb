"""The one reader of request bodies. Of JSON it lets through only what every reader further on understands alike.

Parsers differ on duplicate keys, NaN, huge numbers, byte order marks, NUL and lone surrogates (RFC 8259, sections 4, 6,
8 and 9 leave them open), and PostgreSQL refuses some of them. What is refused here cannot surprise anything behind.
"""

import re
from itertools import chain
from json import JSONDecodeError, JSONDecoder
from math import isfinite
from typing import Any, NoReturn

from werkzeug.http import parse_options_header

from security.edge.problems import BodyTooLarge, MalformedJson, MalformedRequest, Problem, UnsupportedMediaType

MAXIMUM_DEPTH = 32
MAXIMUM_NODES = 10_000
LONG = 64 * 1024
LARGEST_INTEGER = 2**53
"""Beyond it a double cannot hold every integer, so JavaScript and Python would read different numbers."""

USUAL_MEDIA_TYPES = frozenset({"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"})
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""Also one without its end, or every quotation mark in it would be tried anew."""
_UTF_8 = frozenset({"utf-8", "utf8"})
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def check_json(document: bytes) -> None:
    """Raise MalformedJson unless the bytes are one strict JSON document.

    The checks that need a walk in Python run only when a cheap count says that they could find something.
    """
    if document.startswith(_BYTE_ORDER_MARKS):
        raise MalformedJson("The body begins with a byte order mark. Send UTF-8 without it")
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedJson("The body is not UTF-8") from None
    if not text or text.isspace():
        raise MalformedJson("The request body is empty. Send a JSON object, at least {}")
    count = _count if len(text) < LONG else _count_by_finding
    openings = count(text, "{") + count(text, "[")
    # Every value after the first of its container follows a comma, so this sum is never less than the number of values.
    may_have_many = openings + count(text, ",") >= MAXIMUM_NODES
    if may_have_many:
        _require_few_values(text)
    try:
        value = _decode(text)
    except JSONDecodeError as error:
        # Its message quotes nothing of the body, only what it expected and where.
        raise MalformedJson(
            f"The request body is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg[0].lower()}{error.msg[1:]}"
        ) from None
    except ValueError as error:
        raise MalformedJson(f"The request body is not valid JSON: {error}") from None
    except RecursionError:
        raise _too_deep() from None
    # A backslash alone is found ten times as fast.
    if openings > MAXIMUM_DEPTH or may_have_many or ("\\" in text and "\\u" in text):
        _check_every_value(value)


_count = str.count


def _count_by_finding(text: str, mark: str) -> int:
    """At most MAXIMUM_NODES. `count` looks at each character; a long text without the mark takes a tenth of that by `find`."""
    found = at = 0
    while found < MAXIMUM_NODES and (at := text.find(mark, at) + 1):
        found += 1
    return found


def _require_few_values(text: str) -> None:
    """Before anything is made of it: 20 MB of `{},{},` would be half a gigabyte of objects.

    An object has a string for each member and one more where the value is one, so there are at most twice as many as values.
    """
    structure, strings = _STRING.subn("", text, 2 * MAXIMUM_NODES + 1)
    if strings > 2 * MAXIMUM_NODES or structure.count(",") >= MAXIMUM_NODES:
        raise _too_many()
    if structure.count("{") + structure.count("[") > MAXIMUM_NODES:
        raise _too_many()


def _too_many() -> MalformedJson:
    return MalformedJson(f"The body has more than {MAXIMUM_NODES:,} values")


def _too_deep() -> MalformedJson:
    return MalformedJson(f"The body is nested deeper than {MAXIMUM_DEPTH} levels")


def require_plain_json(environ: dict[str, Any]) -> None:
    """Raises UnsupportedMediaType."""
    essence, parameters = parse_options_header(environ.get("CONTENT_TYPE", ""))
    charset = parameters.pop("charset", "utf-8")
    if essence.lower() != "application/json":
        raise _not_json_by_name("Send the body as JSON, with `Content-Type: application/json`")
    if charset.lower() not in _UTF_8:
        raise _not_json_by_name("Send the body in UTF-8: no other charset of application/json is accepted")
    if parameters:
        raise _not_json_by_name("Send `Content-Type: application/json` without parameters")
    require_uncompressed(environ)


def require_uncompressed(environ: dict[str, Any]) -> None:
    """Raises UnsupportedMediaType."""
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in {"", "identity"}:
        raise UnsupportedMediaType(
            "Send the body uncompressed, without Content-Encoding", headers={"Accept-Encoding": "identity"}
        )


def _not_json_by_name(detail: str) -> UnsupportedMediaType:
    return UnsupportedMediaType(detail, headers={"Accept-Post": "application/json"})


def read_whole_body(environ: dict[str, Any], limit: int) -> bytes:
    """Raises BodyTooLarge, or MalformedRequest where the body did not arrive whole."""
    announced = environ.get("CONTENT_LENGTH")
    # Without length and end, reading could wait for ever. One byte more than is allowed is asked for where no length is
    # announced, because Werkzeug's own limit cuts a chunked body silently.
    expected = limit + 1 if environ.get("wsgi.input_terminated") else 0
    if announced:
        if not (announced.isascii() and announced.isdigit()):
            raise MalformedRequest("Content-Length is not a number")
        if len(announced) > 12 or int(announced) > limit:
            raise _too_large(limit)
        expected = int(announced)
    try:
        data: bytes = environ["wsgi.input"].read(expected)
    except Problem:  # of a late body: see late_body.py
        raise
    except Exception:
        # The server raises errors of its own here: a broken chunk, a client that went away, a read that timed out.
        raise MalformedRequest("The request body could not be read completely") from None
    if announced and len(data) < expected:
        raise MalformedRequest("The body is shorter than Content-Length says")
    if len(data) > limit:
        raise _too_large(limit)
    return data


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body can have at most {limit} bytes")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return members


def _small_integer(digits: str) -> int:
    # The length first: Python raises on 4,301 digits, and takes quadratic time below.
    if len(digits) > 17 or not -LARGEST_INTEGER <= (number := int(digits)) <= LARGEST_INTEGER:
        raise ValueError("an integer is beyond 2^53")
    return number


def _finite_number(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError("a number is too large")
    return number


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = JSONDecoder(
    object_pairs_hook=_unique_keys,
    parse_int=_small_integer,
    parse_float=_finite_number,
    parse_constant=_not_json,
).decode


def _check_every_value(document: Any) -> None:
    level, count, depth = [document], 0, 0
    while level:
        count += len(level)
        if count > MAXIMUM_NODES:
            raise _too_many()
        containers = [value for value in level if isinstance(value, dict | list)]
        depth += bool(containers)
        if depth > MAXIMUM_DEPTH:
            raise _too_deep()
        keys = (key for value in containers if isinstance(value, dict) for key in value)
        for text in chain(level, keys):
            if isinstance(text, str):
                _require_storable(text)
        level = [member for each in containers for member in (each.values() if isinstance(each, dict) else each)]


def _require_storable(text: str) -> None:
    """PostgreSQL can store neither; a lone surrogate has no UTF-8 form either."""
    if "\0" in text:
        raise MalformedJson("A text contains NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MalformedJson("A text contains half of a surrogate pair") from None

"""What schemathesis must know about this API. It loads this file by SCHEMATHESIS_HOOKS; the server's address is in the environment."""

import gc
import json
import os
import re
import secrets
import urllib.request
from collections.abc import Callable
from math import isinf
from typing import Any

import schemathesis
from hypothesis import strategies
from hypothesis.strategies import SearchStrategy
from schemathesis import AuthContext, Case, HookContext
from schemathesis.specs.openapi import formats

from tests.whole.new_address import new_address


def email_of(length: int) -> SearchStrategy[str]:
    """By RFC 5321 a name has at most 64 characters, and a label of a domain 63."""
    name = min(length - 14, 64)
    more = length - name - 14
    if more % 60 == 1:  # a label has a character before its dot
        name, more = name - 1, more + 1
    labels = "".join(f"{'a' * (min(60, more - done) - 1)}." for done in range(0, more, 60))
    return strategies.from_regex(rf"[a-z0-9_%+-]{{{name}}}@[a-z]\.", fullmatch=True).map(
        f"{{}}{labels}example.com".format
    )


def password_of(length: int) -> SearchStrategy[str]:
    return strategies.from_regex(PASSWORD, fullmatch=True).map(lambda text: text.ljust(length, "x")[:length])


def format_of_any_length(
    name: str, by_chance: SearchStrategy[str], lengths: tuple[int, int], of: Callable[[int], SearchStrategy[str]]
) -> None:
    """A format whose texts can be as long as a schema wants them, which `schemathesis.openapi.format` cannot express.

    With that alone, schemathesis looks by chance for a text of exactly `maxLength` characters: for seconds, in vain, and in every
    operation that has such a field.
    """

    def within(least: int, most: float) -> SearchStrategy[str] | None:
        least = max(least, lengths[0])
        if least > most:
            return None
        return strategies.one_of([of(each) for each in sorted({least, least if isinf(most) else int(most)})])

    formats.get_default_format_strategies()[name] = by_chance
    formats.FORMAT_LENGTHS[name] = lengths
    formats.FORMAT_NARROWERS[name] = within


# Every case is kept for the report. Looking for garbage among them again and again was a tenth of the time.
gc.freeze()
gc.set_threshold(100_000, 50, 100)

# "email" allows domains that nobody can have, such as `.test`, and nearly every password that it would make up is weak.
EMAIL = r"[a-z0-9_%+-]{1,8}(\.[a-z0-9_%+-]{1,8}){0,2}@[a-z]{1,9}\.example\.com"
PASSWORD = r"[a-z]{5} [A-Z0-9]{9} [^\x00-\x1f\ud800-\udfff]{1,20}"
format_of_any_length("email", strategies.from_regex(EMAIL, fullmatch=True), (15, 48), email_of)
format_of_any_length("password", strategies.from_regex(PASSWORD, fullmatch=True), (17, 36), password_of)
schemathesis.openapi.format("ip-network", strategies.ip_addresses().map(str))


@schemathesis.hook
def before_load_schema(_context: HookContext, document: dict[str, Any]) -> None:
    make_ready(document)


LONG_TEXT = 1_000


def make_ready(part: Any) -> None:
    """Two things are said in another way, which means the same.

    schemathesis turns a pattern and a `maxLength` into one pattern, of up to 32,000 repetitions, and each schema that it makes out of
    that one takes half a second. It does not so with a pattern that it cannot repeat.

    Before OpenAPI 3.2 it reads the schema of a stream as that of each event. Ours is the schema of the whole stream.
    """
    if isinstance(part, list):
        for each in part:
            make_ready(each)
    if not isinstance(part, dict):
        return
    pattern, longest = part.get("pattern"), part.get("maxLength")
    if isinstance(pattern, str) and isinstance(longest, int) and longest > LONG_TEXT and pattern.startswith("["):
        part["pattern"] = rf"(^|[\s\S]){pattern}"
    stream = part.get("text/event-stream")
    if isinstance(stream, dict):
        stream["schema"] = stream["schema"]["contentSchema"]["items"]
    for each in part.values():
        make_ready(each)


WELL_FORMED_KEY = re.compile(r"[!-~]{1,255}")
ENDS_SESSIONS = {
    "/api/auth/logout",
    "/api/auth/sessions",
    "/api/auth/sessions/{session_id}",
    "/api/auth/profile",
}


def somebody_new() -> str:
    """The access token of an account that nobody will miss."""
    credentials = {"email": f"{secrets.token_hex(8)}@lost.example.com", "password": f"tulip {secrets.token_hex(8)}"}
    request = urllib.request.Request(
        os.environ["FUZZ_URL"] + "/api/auth/register",
        json.dumps(credentials).encode(),
        {"Content-Type": "application/json", "X-Forwarded-For": new_address()},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["access_token"])


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Every case comes from a network of its own, as otherwise the sixth registration would be refused.

    A key that is well formed stands for one request, and schemathesis likes to use "0" for many.
    """
    case.headers["X-Forwarded-For"] = new_address()
    if WELL_FORMED_KEY.fullmatch(str(case.headers.get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] = secrets.token_urlsafe(24)


if "FUZZ_TOKEN" in os.environ:

    @schemathesis.auth(refresh_interval=None)
    class SignedIn:
        """One session for all cases. What ends sessions or accounts gets a new person's each time."""

        def get(self, _case: Case[Any], context: AuthContext) -> str:
            return somebody_new() if context.operation.path in ENDS_SESSIONS else os.environ["FUZZ_TOKEN"]

        def set(self, case: Case[Any], data: str, _context: AuthContext) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

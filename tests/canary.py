"""A plugin of pytest: a test during which anything that has the shape of a secret, a picture, or a prompt that tests send was
printed, logged or told fails.

It reads what pytest captured of the test, the bodies of errors, and the logs of servers that the test ran. A test that has
to print such a thing is marked with `@pytest.mark.prints_secrets("the reason")`. Output that a test takes away with `capsys`
is for that test to look at.
"""

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request_finished

PROMPT = "What does this ask, which nobody may find again"
"""What tests ask of pictures, unless they say something else."""
SHAPES = re.compile(
    r"""
    (?P<signed_token> \beyJ[\w-]{10,}\.[\w-]{10,} )                          # JWT, Apple's signed data
    | (?P<our_token> (?<![\w-])(?:rt|ot|tok|dt|sc|msk)_[A-Za-z0-9_+/=-]{32,} )  # not in the middle of something random
    | (?P<stripe_key> \b[srp]k_(?:test|live)_[A-Za-z0-9]{16,} )
    | (?P<ai_provider_key> (?<![\w-])(?:sk-[A-Za-z0-9_-]{20,}|gsk_[A-Za-z0-9]{20,}|AIza[A-Za-z0-9_-]{30,}) )
    | (?P<webhook_secret> \bwhsec_[A-Za-z0-9+/=]{16,} )
    | (?P<client_secret> \b(?:pi|seti|cs)_\w+_secret_\w{4,} )
    | (?P<password_hash> \$2[abxy]\$\d\d\$[./A-Za-z0-9]{53} )
    | (?P<private_key> \bBEGIN\ [A-Z ]*PRIVATE\ KEY )
    | (?P<picture> \biVBORw0KGgo[A-Za-z0-9+/]{20} | (?<![A-Za-z0-9+/])/9j/[A-Za-z0-9+/]{28} | \bR0lGOD[A-Za-z0-9+/]{26}
        | \bUklGR[A-Za-z0-9+/]{6}XRUJQ                                       # in base64: PNG, JPEG, GIF, WebP
        | (?:\x89|\\x89|\ufffd)PNG | (?:\xff\xd8\xff|\\xff\\xd8\\xff) | \bGIF8[79]a | \bRIFF.{4,16}WEBP )
    | (?P<prompt> What\ does\ this\ ask,\ which\ nobody )
    | (?P<receipt> \bMI[A-Za-z0-9][A-Za-z0-9+/]{100,} )                       # base64 of ASN.1: receipts, certificates, keys
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)
CHALLENGE = re.compile(r'"challenge":\s*"sc_[^"]*"')
FORM_TOKEN = re.compile(r'name="csrf_token" value="[^"]*"')
"""Random, so one in many thousands begins as a token does."""


def shapes_in(text: str) -> Iterator[str]:
    """The kind of each, never the thing itself."""
    for match in SHAPES.finditer(text):
        yield str(match.lastgroup).replace("_", " ")


class Canary:
    def __init__(self) -> None:
        self._found: list[str] = []
        self._logs: dict[Path, int] = {}

    def watch(self, log_file: Path) -> None:
        """What is written to this file from now on."""
        self._logs[log_file] = log_file.stat().st_size if log_file.exists() else 0

    def look_at(self, text: str, where: str) -> None:
        self._found += [f"{kind} in {where}" for kind in shapes_in(text)]

    def look_at_error(self, body: str) -> None:
        """Some hand something over: the token of a form, and what a sign-in goes on with when a second factor is asked for."""
        body = FORM_TOKEN.sub("", body)
        if '"mfa_required"' in body:
            body = CHALLENGE.sub("", body)
        self.look_at(body, "the body of an error")

    def hear_answer(self, _app: Flask, response: Response, **_: Any) -> None:
        if response.status_code >= 400 and not response.is_streamed:
            self.look_at_error(response.get_data(as_text=True))

    def read_logs(self) -> None:
        """A log that is gone belonged to a server of an earlier test."""
        for log_file, read in list(self._logs.items()):
            if not log_file.exists():
                del self._logs[log_file]
            elif log_file.stat().st_size > read:
                with log_file.open("rb") as log:
                    log.seek(read)
                    written = log.read()
                self._logs[log_file] = read + len(written)
                self.look_at(written.decode(errors="replace"), log_file.name)

    def taken(self) -> list[str]:
        """What was found since the last time, each kind once."""
        found, self._found = self._found, []
        return sorted(set(found))


canary = Canary()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "prints_secrets(reason): it is meant to print what has the shape of a secret")
    request_finished.connect(canary.hear_answer)


def pytest_unconfigure() -> None:
    request_finished.disconnect(canary.hear_answer)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when != "teardown":
        return report
    for title, text in report.sections:
        canary.look_at(text, title)
    canary.read_logs()
    found = canary.taken()
    mark = item.get_closest_marker("prints_secrets")
    complaint = "" if mark is None or mark.args else "prints_secrets needs the reason"
    if found and mark is None:
        complaint = f"This test let out: {', '.join(found)}"
    if complaint and report.passed:
        report.outcome, report.longrepr = "failed", complaint
    return report

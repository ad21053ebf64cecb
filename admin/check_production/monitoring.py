"""Sentry takes errors of this deployment. Nothing is reported."""

from collections.abc import Iterator
from http import HTTPStatus

import requests
from sentry_sdk.envelope import Envelope
from sentry_sdk.utils import Dsn

from settings.production_check import CannotAsk, ProductionCheck, Shortcoming

SECONDS = 3.0


def monitoring_check(dsn: str) -> ProductionCheck:
    return ProductionCheck("monitoring", "Sentry accepts SENTRY_DSN.", lambda: find(dsn))


def find(dsn: str) -> Iterator[Shortcoming]:
    """An envelope without an item: its key is checked, and there is nothing to keep (develop.sentry.dev, Envelopes)."""
    auth = Dsn(dsn).to_auth("mirroros.check-production/1")
    try:
        answer = requests.post(
            auth.get_api_url(),
            data=Envelope().serialize(),
            headers={"X-Sentry-Auth": auth.to_header(), "Content-Type": "application/x-sentry-envelope"},
            timeout=SECONDS,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise CannotAsk(
            f"Sentry cannot be reached ({type(error).__name__}).", "Check the host in SENTRY_DSN and the firewall."
        ) from None
    if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        yield Shortcoming("Sentry refuses SENTRY_DSN.", "Copy it again from the project's settings, Client Keys (DSN).")
    elif answer.status_code >= 400 and answer.status_code != HTTPStatus.TOO_MANY_REQUESTS:
        yield Shortcoming(
            f"Sentry answers with status {answer.status_code}.", "Check the host and the project in SENTRY_DSN."
        )

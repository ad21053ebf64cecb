"""`flask check-production`."""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import structlog

from admin.check_production.deployment import Deployment
from admin.check_production.run import Level, Verdict, run_checks
from settings.redact import Redactor


def check_production_command(deployment: Deployment) -> click.Command:
    @click.command("check-production")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
    def check_production(as_json: bool) -> None:
        """Check this deployment, and say how to mend what is wrong.

        Asks the servers that the settings name: the public address, PostgreSQL, Redis, the private server, the mail server,
        the payment providers and Sentry. Changes nothing. Ends with 1 when something is wrong. Run it where the API runs; to
        check the variables alone, without asking anybody, use `flask config check`.
        """
        redact = Redactor.of(deployment.settings)
        counts: Counter[Level] = Counter()
        with quiet_log():
            for verdict in run_checks(deployment.checks()):
                counts[verdict.level] += 1
                click.echo(redact(json_line(verdict) if as_json else line(verdict)))
        if not as_json:
            click.echo(f"{counts[Level.FAILURE]} failures, {counts[Level.WARNING]} warnings.")
        if counts[Level.FAILURE]:
            raise SystemExit(1)

    return check_production


def line(verdict: Verdict) -> str:
    mend = "" if verdict.mend is None else f" Mend: {verdict.mend}"
    return f"{verdict.level:<9}{verdict.check}: {verdict.text}{mend}"


def json_line(verdict: Verdict) -> str:
    return json.dumps(
        {"level": verdict.level, "check": verdict.check, "text": verdict.text, "mend": verdict.mend}, ensure_ascii=False
    )


@contextmanager
def quiet_log() -> Iterator[None]:
    """What the parts would log is what the lines say, and it stands on standard output too."""

    def drop(_logger: Any, _method: str, _event: Any) -> Any:
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[drop])
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        structlog.configure(**before)

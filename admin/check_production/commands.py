"""`flask check-production`."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import click
import structlog

from admin.check_production.run import Level, Verdict, run_checks
from settings.production_check import ProductionCheck
from settings.redact import Redactor
from settings.section import Section


def check_production_command(settings: Section, checks: Callable[[], Iterable[ProductionCheck]]) -> click.Command:
    @click.command("check-production")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
    def check_production(as_json: bool) -> None:
        """Check this deployment, and say how to mend what is wrong.

        Asks the servers that the settings name: the public address, PostgreSQL, Redis, the private server, the mail server,
        the payment providers and Sentry. Changes nothing. Ends with 1 when something is wrong. Run it where the API runs.

        To check the variables alone, without asking anybody, use `flask config check`.
        """
        redact, counts = Redactor.of(settings), Counter[Level]()
        with quiet_log():
            for verdict in run_checks(checks()):
                counts[verdict.level] += 1
                shown = replace(verdict, text=redact(verdict.text), mend=verdict.mend and redact(verdict.mend))
                click.echo(json.dumps(asdict(shown), ensure_ascii=False) if as_json else line(shown))
        if not as_json:
            click.echo(f"{counted(counts[Level.FAILURE], 'failure')}, {counted(counts[Level.WARNING], 'warning')}.")
        if counts[Level.FAILURE]:
            raise SystemExit(1)

    return check_production


def line(verdict: Verdict) -> str:
    mend = "" if verdict.mend is None else f" Mend: {verdict.mend}"
    return f"{verdict.level:<9}{verdict.check}: {verdict.text}{mend}"


def counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


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

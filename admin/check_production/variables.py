"""The variables, as `flask config check --for production` judges them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from settings.production_check import ProductionCheck, Shortcoming
from settings.section import Environment

NEEDED = frozenset({"SENTRY_DSN", "EMAIL_HOST"})
"""What a server can do without and a business cannot: somebody hears of errors, and users can reset a password."""
SET_IT = "Set it (docs/configuration.md)."


@dataclass(frozen=True)
class Judgement:
    """`problems` stop a server from starting, `remarks` do not. Each sentence begins with the name of its variable."""

    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


Judge = Callable[[], Judgement]
"""Reads the environment anew."""


def variables_check(judge: Judge, environment: Environment) -> ProductionCheck:
    """`environment`: what this process runs as."""
    right = "All variables are valid for production."
    return ProductionCheck("variables", right, lambda: find(judge(), environment))


def find(judgement: Judgement, environment: Environment) -> Iterator[Shortcoming]:
    if environment is not Environment.PRODUCTION:
        yield Shortcoming(
            f"This deployment runs as {environment}.",
            "Set FLASK_ENV=production for every process.",
            fails=environment is Environment.DEVELOPMENT,
        )
    for problem in judgement.problems:
        yield Shortcoming(f"{problem}.", "Change it and start every process again (docs/configuration.md).")
    for remark in judgement.remarks:
        yield Shortcoming(remark, SET_IT, fails=remark.partition(" ")[0] in NEEDED)

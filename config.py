"""The configuration of one process: the settings, read and checked together at start-up, and the plan table.

Only `app.py`, the server's configuration and commands import this module. Everything else is handed the
values it needs.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn

from pydantic import ValidationError

from auth.tiers import Tier
from gateway.plan_limits import PlanLimits
from settings.checks import unsafe_settings
from settings.defaults import adapted_to_platform, defaults_for, environment_of, safe_stand_ins
from settings.environment import read_settings, with_env_file
from settings.model import Environment, Settings

ENV_FILE: Final = Path(__file__).with_name(".env")
EX_CONFIG: Final = 78
"""The exit code for a configuration error (sysexits.h)."""


class SettingsInvalid(Exception):
    """The process must not start. `problems` holds one sentence per variable; none of them shows a value."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"The configuration is not acceptable:{lines}")
        self.problems = problems


def load_settings(environ: Mapping[str, str] | None = None, *, env_file: Path | None = None) -> Settings:
    """Read and check everything at once. Raises SettingsInvalid, which names all problems.

    With no `environ` given, the process's own environment is read, and in development `.env` below it.
    """
    if environ is None:
        environ = os.environ
        env_file = ENV_FILE if environment_of(environ) in {None, Environment.DEVELOPMENT} else None
    environ = with_env_file(environ, env_file)
    texts, problems = read_settings((name.upper() for name in Settings.model_fields), environ)
    texts = adapted_to_platform(environ, texts)
    given = {**defaults_for(environ, texts), **{name.lower(): text for name, text in texts.items()}}
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        problems = {**_problems_of(error), **problems}
        settings = _with_stand_ins(given, {name.lower() for name in problems})
    for name, reason in unsafe_settings(settings):
        problems.setdefault(name, reason)
    if problems:
        raise SettingsInvalid(tuple(f"{name} {reason}" for name, reason in sorted(problems.items())))
    return settings


def load_settings_or_exit() -> Settings:
    """For programs: prints the problems and exits with 78, a configuration error to supervisors."""
    try:
        return load_settings()
    except SettingsInvalid as refusal:
        exit_for(refusal)


def exit_for(refusal: SettingsInvalid) -> NoReturn:
    sys.stderr.write(f"{refusal}\n")
    raise SystemExit(EX_CONFIG) from None


def _problems_of(error: ValidationError) -> dict[str, str]:
    """Variable to reason. pydantic's own messages are kept; they do not hold the value."""
    problems: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        reason = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing":
            reason = "must be set"
        elif problem["type"] != "value_error":
            reason = f"is not acceptable: {reason[0].lower()}{reason[1:]}"
        problems.setdefault(str(problem["loc"][0]).upper(), reason)
    return problems


def _with_stand_ins(given: Mapping[str, str], refused: set[str]) -> Settings:
    """Harmless values in place of the refused ones, so that the rest can be judged in the same run."""
    kept = {name: value for name, value in given.items() if name not in refused}
    stand_ins = {name: value for name, value in safe_stand_ins().items() if name in refused}
    return Settings.model_validate({**stand_ins, **kept})


@dataclass(frozen=True)
class Plan:
    """One row of the plan table: what a tier is called, what it may use, and the words that it is sold with.

    Support is given by people: no code looks at `benefits`.
    """

    title: str
    limits: PlanLimits
    requests_per_minute: int
    benefits: tuple[str, ...]


PLANS: Final[Mapping[Tier, Plan]] = MappingProxyType(
    {
        Tier.FREE: Plan(
            title="Free",
            limits=PlanLimits(
                per_day=5,
                burst=10,
                burst_seconds=60,
                concurrency=2,
                shed_from=0.7,
                features=frozenset(),
                failures_per_hour=20,
            ),
            requests_per_minute=60,
            benefits=("Basic predictions",),
        ),
        Tier.PLUS: Plan(
            title="Plus",
            limits=PlanLimits(
                per_day=25,
                burst=30,
                burst_seconds=60,
                concurrency=4,
                shed_from=0.8,
                features=frozenset(),
                failures_per_hour=20,
            ),
            requests_per_minute=150,
            benefits=("Basic predictions, five times as many",),
        ),
        Tier.PRO: Plan(
            title="Pro",
            limits=PlanLimits(
                per_day=100,
                burst=60,
                burst_seconds=60,
                concurrency=8,
                shed_from=0.9,
                features=frozenset({"enhanced_grounding"}),
                failures_per_hour=20,
            ),
            requests_per_minute=300,
            benefits=("Enhanced grounding", "Priority support"),
        ),
        Tier.TEAM: Plan(
            title="Team",
            limits=PlanLimits(
                per_day=300,
                burst=120,
                burst_seconds=60,
                concurrency=16,
                shed_from=0.95,
                features=frozenset({"enhanced_grounding"}),
                failures_per_hour=20,
            ),
            requests_per_minute=1000,
            benefits=("Enhanced grounding", "Priority support"),
        ),
        Tier.ENTERPRISE: Plan(
            title="Enterprise",
            limits=PlanLimits(
                per_day=None,
                burst=300,
                burst_seconds=60,
                concurrency=32,
                shed_from=1.0,
                features=frozenset({"enhanced_grounding"}),
            ),
            requests_per_minute=5000,
            benefits=("All features", "Dedicated support"),
        ),
    }
)

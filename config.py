"""The configuration of one process: the settings, read and checked together at start-up, and the plan table.

Only `app.py`, the server's configuration and commands import this module. Everything else is handed the
values it needs.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn

from pydantic import ValidationError, create_model

from admin.settings import AdminSections
from auth.tiers import Tier
from capabilities import CAPABILITIES
from metering.capability import Capabilities, FeatureLimits, switched_on
from payments.plans import PlanOffer
from realtime.settings import RealtimeSections
from settings.check import problems_of, warnings_on
from settings.defaults import adapted_to_platform, environment_of, place_of
from settings.environment import NamesOfToday, read_settings, with_env_file, with_names_of_today
from settings.process import ProcessSection
from settings.section import Environment, Place, Section, own_rules
from settings.types import comma_list

ENV_FILE: Final = Path(__file__).with_name(".env")
EX_CONFIG: Final = 78
"""The exit code for a configuration error (sysexits.h)."""


class Settings(RealtimeSections, AdminSections):  # type: ignore[misc]  # of what pydantic's plugin makes for both
    """Every variable that a process reads with no capability on."""


@lru_cache
def settings_with(capabilities: Capabilities) -> type[Settings]:
    """The settings with the sections of these."""
    sections: list[type[Any]] = [each.settings for each in reversed(capabilities) if each.settings is not None]
    return create_model("Settings", __base__=(*sections, Settings))


class SettingsInvalid(Exception):
    """The process must not start. `problems` holds one sentence per variable; none of them shows a value."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"The settings are not valid:{lines}")
        self.problems = problems


def load_settings(
    environ: Mapping[str, str] | None = None,
    *,
    env_file: Path | None = None,
    capabilities: Capabilities = CAPABILITIES,
) -> Settings:
    """Read and check everything at once. Raises SettingsInvalid, which names all problems.

    With no `environ` given, the process's own environment is read, and in development `.env` below it. Variables of
    capabilities that are off are not looked at.
    """
    if environ is None:
        environ = os.environ
        env_file = own_env_file(environ)
    renamed = with_names_of_today(with_env_file(environ, env_file))
    environ = renamed.environ
    on = switched_on(capabilities, _names_of_capabilities(environ))
    model = settings_with(on)
    texts, unreadable = read_settings((name.upper() for name in model.model_fields), environ)
    problems = {**unreadable, **renamed.problems}
    texts = adapted_to_platform(environ, texts)
    given = {
        **_defaults(model, place_of(environ, texts)),
        **{name.lower(): text for name, text in texts.items()},
    }
    try:
        settings = model.model_validate(given)
    except ValidationError as error:
        problems = {**_problems_of(error), **problems}
        settings = _with_stand_ins(on, given, {name.lower() for name in problems})
    for name, reason in (*_unknown_capabilities(settings, capabilities), *problems_of(settings)):
        problems.setdefault(name, reason)
    if problems:
        as_set = {name: former for former, name in renamed.used.items()}
        named = {as_set.get(name, name): reason for name, reason in problems.items()}
        raise SettingsInvalid(tuple(f"{name} {reason}" for name, reason in sorted(named.items())))
    return settings


def own_env_file(environ: Mapping[str, str]) -> Path | None:
    """A developer's `.env`. Staging and production read none."""
    return ENV_FILE if environment_of(with_names_of_today(environ).environ) in {None, Environment.DEVELOPMENT} else None


def names_of_this_process() -> NamesOfToday:
    return with_names_of_today(with_env_file(os.environ, own_env_file(os.environ)))


def settings_of_this_process() -> Settings:
    """In development with servers and secrets for what is not set. Raises SettingsInvalid.

    Warns of former names of variables and of what will not work. Servers for development that cannot be started end the process
    with one line.
    """
    renamed = names_of_this_process()
    _warn(renamed.remarks)
    environ, in_development = renamed.environ, own_env_file(os.environ) is not None
    settings = load_settings(environ) if in_development else load_settings()
    _warn(warnings_on(settings))
    if not in_development or find_spec("sandbox") is None:  # as in the container image
        return settings
    from sandbox.cannot_start import CannotStart  # noqa: PLC0415
    from sandbox.development import ensure_services  # noqa: PLC0415

    try:
        return load_settings({**environ, **ensure_services(environ)})
    except CannotStart as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(1) from None


def _warn(warnings: Iterable[str]) -> None:
    sys.stderr.writelines(f"Warning: {warning}\n" for warning in warnings)


def load_settings_or_exit() -> Settings:
    """For programs: prints the problems and exits with 78, a configuration error to supervisors."""
    try:
        return load_settings()
    except SettingsInvalid as refusal:
        exit_for(refusal)


def exit_for(refusal: SettingsInvalid) -> NoReturn:
    sys.stderr.write(f"{refusal}\n")
    raise SystemExit(EX_CONFIG) from None


def _names_of_capabilities(environ: Mapping[str, str]) -> frozenset[str]:
    """Read before everything else: they say which other variables there are."""
    texts, _ = read_settings(("CAPABILITIES",), environ)
    if not texts:
        default: frozenset[str] = ProcessSection.model_fields["capabilities"].default
        return default
    return comma_list(texts["CAPABILITIES"])


def _unknown_capabilities(settings: Settings, capabilities: Capabilities) -> Iterable[tuple[str, str]]:
    known = [each.name for each in capabilities]
    if unknown := settings.capabilities - set(known):
        yield "CAPABILITIES", f"can only contain {', '.join(known)}, not {', '.join(sorted(unknown))}"


def _defaults(model: type[Section], place: Place) -> dict[str, str]:
    """Field to text, for settings whose default is not a constant."""
    texts = {name: text for defaults in own_rules(model, "defaults") for name, text in defaults(place).items()}
    more = sum(threads(place) for threads in own_rules(model, "threads"))
    return {**texts, "web_threads": str(int(texts["web_threads"]) + more)}


def _problems_of(error: ValidationError) -> dict[str, str]:
    """Variable to reason. pydantic's own messages are kept; they do not hold the value."""
    problems: dict[str, str] = {}
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        reason = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "missing":
            reason = "must be set"
        elif problem["type"] != "value_error":
            reason = f"is not valid: {reason[0].lower()}{reason[1:]}"
        problems.setdefault(str(problem["loc"][0]).upper(), reason)
    return problems


def _with_stand_ins(on: Capabilities, given: Mapping[str, str], refused: set[str]) -> Settings:
    """Harmless values in place of the refused ones, so that the rest can be judged in the same run.

    A capability that lacks a setting for which it has no stand-in is left out.
    """
    stand_ins = _defaults(settings_with(on), place_of({}, {}))
    for own in own_rules(settings_with(on), "stand_ins"):
        stand_ins |= own()
    values = {name: value for name, value in given.items() if name not in refused}
    values |= {name: value for name, value in stand_ins.items() if name in refused}
    complete = tuple(each for each in on if each.settings is None or _required(each.settings) <= values.keys())
    model = settings_with(complete)
    return model.model_validate({name: value for name, value in values.items() if name in model.model_fields})


def _required(section: type[Section]) -> set[str]:
    return {name for name, field in section.model_fields.items() if field.is_required()}


@dataclass(frozen=True)
class Plan:
    """One row of the plan table: what a tier is called, what it may use of everything, and the words that it is sold with.

    What it may use of each feature stands beside the feature. Support is given by people: no code looks at `benefits`.
    """

    title: str
    requests_per_minute: int
    account_calls_per_minute: int
    """Of those, to `/api/auth` while signed in."""
    benefits: tuple[str, ...]


PLANS: Final[Mapping[Tier, Plan]] = MappingProxyType(
    {  # title, requests a minute, of those to /api/auth, benefits
        Tier.FREE: Plan("Free", 60, 10, ("Basic predictions",)),
        Tier.PLUS: Plan("Plus", 150, 15, ("Basic predictions, five times as many",)),
        Tier.PRO: Plan("Pro", 300, 20, ("Enhanced grounding", "Priority support")),
        Tier.TEAM: Plan("Team", 1000, 50, ("Enhanced grounding", "Priority support")),
        Tier.ENTERPRISE: Plan("Enterprise", 5000, 100, ("All features", "Dedicated support")),
    }
)


def plan_table(capabilities: Capabilities) -> dict[Tier, dict[str, FeatureLimits]]:
    """Tier to feature to what may be used of it, for the features of these."""
    return {
        tier: {feature: limits for each in capabilities for feature, limits in each.limits[tier].items()}
        for tier in PLANS
    }


def plans_on_offer(capabilities: Capabilities) -> list[PlanOffer]:
    """The plans as they are published."""
    table = plan_table(capabilities)
    return [
        PlanOffer(
            tier,
            plan.title,
            limits={feature: limits.published() for feature, limits in table[tier].items()},
            requests_per_minute=plan.requests_per_minute,
            account_calls_per_minute=plan.account_calls_per_minute,
            options=tuple(sorted({option for limits in table[tier].values() for option in limits.options})),
            benefits=plan.benefits,
        )
        for tier, plan in PLANS.items()
    ]

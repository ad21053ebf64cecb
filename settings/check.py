"""Judges settings whose forms are right: what contradicts itself, and what a server outside development refuses."""

from collections.abc import Iterator
from itertools import combinations

from settings.process import ProcessSection
from settings.secret_strength import weakness_of
from settings.section import Complaint, own_rules


def problems_of(settings: ProcessSection) -> Iterator[Complaint]:
    """Contradictions, which are refused everywhere, then what only a developer's machine may have."""
    for contradictions in own_rules(type(settings), "contradictions"):
        yield from contradictions(settings)
    if settings.is_development:
        return
    secrets = secrets_of(settings)
    for name, secret in secrets.items():
        weakness = weakness_of(secret)
        if weakness is not None:
            yield name, weakness
    for (first, one), (second, other) in combinations(secrets.items(), 2):
        if one == other:
            yield second, f"is equal to {first}; every secret needs its own value"
    for unsafe in own_rules(type(settings), "unsafe"):
        yield from unsafe(settings)


def secrets_of(settings: ProcessSection) -> dict[str, str]:
    """Every secret of our own that is set, with the variable's name."""
    return {name: text for secrets in own_rules(type(settings), "secrets") for name, text in secrets(settings).items()}


def remarks_on(settings: ProcessSection) -> list[str]:
    """What is allowed and yet is seldom meant, outside development."""
    if settings.is_development:
        return []
    return [remark for remarks in own_rules(type(settings), "remarks") for remark in remarks(settings)]


def warnings_on(settings: ProcessSection) -> list[str]:
    """What every start says."""
    return [warning for warnings in own_rules(type(settings), "warnings") for warning in warnings(settings)]


def switched_off(settings: ProcessSection) -> dict[str, str]:
    """Beginnings of paths to the setting without which there is no route."""
    return {path: name for paths in own_rules(type(settings), "switched_off") for path, name in paths(settings).items()}


def longest_request(settings: ProcessSection) -> float:
    """Seconds after which the slowest request of all capabilities that are on has ended; 0 when none says."""
    return max((longest(settings) for longest in own_rules(type(settings), "longest_request")), default=0.0)

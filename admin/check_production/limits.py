"""The plan table makes sense, and the general limit is on."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from payments.plans import PlanOffer
from settings.production_check import ProductionCheck, Shortcoming

Figure = int | None
"""None for unlimited."""


def limits_check(plans: Sequence[PlanOffer], *, general_limit: bool) -> ProductionCheck:
    """`plans` from the cheapest to the dearest."""
    right = "The general limit is on, and no plan allows less than a cheaper one."
    return ProductionCheck("limits", right, lambda: find(plans, general_limit))


def find(plans: Sequence[PlanOffer], general_limit: bool) -> Iterator[Shortcoming]:
    if not general_limit:
        yield Shortcoming("Requests a minute are not limited.", "Remove RATE_LIMIT_GENERAL=off.")
    free = plans[0]
    for name, figure in figures(free).items():
        if figure is None:
            yield Shortcoming(f"The plan {free.tier} has no limit of {name}.", f"Give it one {where(name)}.")
    for cheaper, dearer in pairwise(plans):
        less, more = figures(cheaper), figures(dearer)
        for name in less:
            if rank(more.get(name, 0)) < rank(less[name]):
                yield Shortcoming(
                    f"The plan {dearer.tier} allows less {name} than {cheaper.tier}.",
                    f"Correct the table {where(name)}.",
                )


def figures(plan: PlanOffer) -> dict[str, Figure]:
    """The longer a window, the less it says about a plan."""
    own = {
        f"{feature} {name}": figure
        for feature, limits in plan.limits.items()
        for name, figure in limits.items()
        if not name.endswith("_seconds")
    }
    general = {
        "requests a minute": plan.requests_per_minute,
        "requests to /api/auth a minute": plan.account_calls_per_minute,
    }
    return {**general, **own}


def rank(figure: Figure) -> float:
    return float("inf") if figure is None else figure


def where(name: str) -> str:
    return "in PLANS (config.py)" if name.startswith("requests ") else "of the feature (docs/deployment.md, Checklist)"

"""Which models a request is for, and how long their reply may be, in the caller's plan."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from auth.tiers import Tier
from capabilities.chat.plan_limits import ChatLimits
from capabilities.chat.replies.problems import ModelNotInTier, ModelUnavailable, ReplyTooLong
from providers.catalogue import Catalogue, Model, UnknownModel
from security.edge.problems import ValidationFailed, field_error

LEAST_REPLY: Final = 64
"""Tokens. For less it is not worth asking."""
REPLY_OF_UNKNOWN: Final = 4_096
PROMPT_OF_UNKNOWN: Final = 128_000
"""Tokens, of a model of which nothing is known, in a plan that says nothing either."""
MODELS_TRIED: Final = 2


def models_for(
    catalogue: Catalogue, providers: Collection[str], name: str, tier: Tier, now: datetime
) -> Sequence[Model]:
    """Those that a name stands for in this plan, in the order in which they are tried. `providers`: those that are set up.

    Raises ValidationFailed, ModelUnavailable and ModelNotInTier.
    """
    try:
        models = catalogue.resolve(name, providers, now.astimezone(UTC).date())
    except UnknownModel:
        raise ValidationFailed([field_error(["model"], "unknown_model", "There is no such model")]) from None
    if not models:
        raise ModelUnavailable
    allowed = [model for model in models if tier.includes(model.lowest_tier)]
    if not allowed:
        raise ModelNotInTier(name, tier, min((model.lowest_tier for model in models), key=lambda each: each.rank))
    return allowed


def longest_reply(tier: Tier, plan: ChatLimits, models: Sequence[Model], asked: int | None) -> int:
    """In tokens, of any of the models. Raises ReplyTooLong where more is asked for than the plan allows."""
    if asked is not None and plan.longest_reply is not None and asked > plan.longest_reply:
        raise ReplyTooLong(tier, plan.longest_reply)
    allowed = [model.longest_reply for model in models if model.longest_reply is not None]
    return min(allowed if plan.longest_reply is None else [*allowed, plan.longest_reply], default=REPLY_OF_UNKNOWN)

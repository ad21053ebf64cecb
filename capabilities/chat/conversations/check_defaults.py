"""What a conversation says of its replies must be possible in the caller's plan now. Each message is checked again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from auth.tiers import Tier
from capabilities.chat.choose_models import models_for
from capabilities.chat.conversations.bodies import ConversationFields
from capabilities.chat.plan_limits import ChatLimits
from capabilities.chat.replies.problems import ModelNotInTier, ModelUnavailable, ReplyTooLong
from database.base import Clock
from providers.catalogue import Catalogue

DEFAULTS_PROBLEMS = (ModelUnavailable, ModelNotInTier, ReplyTooLong)


@dataclass(frozen=True)
class Defaults:
    """`providers`: those that are set up."""

    plans: Mapping[Tier, ChatLimits]
    catalogue: Catalogue
    providers: Collection[str]
    clock: Clock

    def check(self, tier: Tier, body: ConversationFields) -> None:
        """Raises ValidationFailed and DEFAULTS_PROBLEMS."""
        most = self.plans[tier].longest_reply
        if body.max_tokens is not None and most is not None and body.max_tokens > most:
            raise ReplyTooLong(tier, most)
        if body.model is not None:
            models_for(self.catalogue, self.providers, body.model, tier, self.clock())

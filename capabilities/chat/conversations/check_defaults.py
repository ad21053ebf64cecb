"""What a conversation says of its replies must be possible in the caller's plan now. Each message is checked again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from auth.tiers import Tier
from capabilities.chat.conversations.bodies import ConversationFields
from capabilities.chat.plan_limits import ChatLimits
from security.edge.problems import ValidationFailed, field_error

ModelCheck = Callable[[str, Tier], object]
"""Raises the problem with which a message that names this model would be refused in this plan."""


@dataclass(frozen=True)
class Defaults:
    plans: Mapping[Tier, ChatLimits]
    check_model: ModelCheck

    def check(self, tier: Tier, body: ConversationFields) -> None:
        """Raises ValidationFailed, and what `check_model` does."""
        most = self.plans[tier].longest_reply
        if body.max_tokens is not None and most is not None and body.max_tokens > most:
            words = f"Your plan allows replies of at most {most:,} tokens"
            raise ValidationFailed([field_error(["max_tokens"], "less_than_equal", words)])
        if body.model is not None:
            self.check_model(body.model, tier)

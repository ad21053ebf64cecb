"""What a conversation says of its replies must be possible in the caller's plan now. Each message is checked again."""

from auth.tiers import Tier
from capabilities.chat.admit import Admission
from capabilities.chat.choose_models import longest_reply
from capabilities.chat.conversations.bodies import ConversationFields
from capabilities.chat.replies.problems import ModelNotInTier, ModelUnavailable, ReplyTooLong

DEFAULTS_PROBLEMS = (ModelUnavailable, ModelNotInTier, ReplyTooLong)


def check_defaults(admission: Admission, tier: Tier, body: ConversationFields) -> None:
    """Raises ValidationFailed and DEFAULTS_PROBLEMS."""
    longest_reply(tier, admission.plans[tier], (), body.max_tokens)
    if body.model is not None:
        admission.models(body.model, tier)

"""How requests for replies are refused."""

from auth.tiers import Tier
from metering.work import NotInPlan
from security.edge.problems import Problem, retry_after


class ModelNotInTier(NotInPlan):
    status, error, title = 403, "feature_not_in_tier", "Your plan does not include this model"

    def __init__(self, model: str, tier: Tier, needed: Tier) -> None:
        including = [each.value for each in Tier if each.includes(needed)]
        super().__init__(
            f"The {tier.value} plan does not include {model}. These plans do: {', '.join(including)}",
            feature=model,
            tier=tier.value,
            included_in=including,
        )


class PromptTooLong(NotInPlan):
    """The message alone, with the instructions of the conversation, is longer than the plan or the model allows."""

    status, error, title = 422, "prompt_too_long", "The message is too long"

    def __init__(self, most: int) -> None:
        super().__init__(f"Your plan and this model allow {most} tokens, and this message can have more", limit=most)


class ReplyTooLong(NotInPlan):
    status, error, title = 422, "max_tokens_above_plan", "Your plan does not allow replies as long as this"

    def __init__(self, tier: Tier, most: int) -> None:
        super().__init__(f"In the {tier.value} plan max_tokens can be at most {most}", limit=most)


class ModelUnavailable(Problem):
    """No provider that has it is set up here."""

    status, error, title = 503, "model_unavailable", "This model is not available right now"

    def __init__(self) -> None:
        super().__init__(headers=retry_after(60))

"""How Stripe can fail, as our callers see it."""

from datetime import timedelta

from security.edge.problems import DependencyUnavailable, Problem, retry_after

RETRY_AFTER_SECONDS = 5
KEY_LIVES = timedelta(hours=23)
"""Stripe keeps idempotency keys for a day. After that a repetition would be a new request."""


class StripeUnavailable(Problem):
    """No answer, an error of theirs, or too many requests. Whether something was done is not known: repeat with the same key."""

    status, error, title = 503, "payments_unavailable", "The payment provider cannot be reached right now"

    def __init__(self) -> None:
        super().__init__(headers=retry_after(RETRY_AFTER_SECONDS))


class StripeOutOfReach(StripeUnavailable):
    """No answer, or too many requests: the next question would fare no better, whatever it is about."""


class StripeRefused(Problem):
    """Stripe did not take a request of ours: a mistake in our code, our key or our account. The log has its request id."""

    status, error, title = 502, "payments_misconfigured", "The payment provider refused the request"


class StripeKeyRefused(StripeRefused):
    """The key is not valid or may not do this, so the next request would be refused as well."""


class StripeEmailRefused(StripeRefused):
    """Stripe does not take this e-mail address, which is good enough for us and for its owner."""


class AmountTooSmall(Problem):
    status, error, title = 409, "amount_too_small", "The amount is too small to be paid by card"


class CardDeclined(Problem):
    status, error, title = 402, "card_declined", "The card was declined"


class StripeObjectMissing(LookupError):
    """Stripe has no object of this id, or not any more. `param` is the parameter that named it."""

    def __init__(self, param: str | None = None) -> None:
        super().__init__(param)
        self.param = param


class StripeStateConflict(Exception):
    """The object is in another state than the request needs. Ask for it anew."""


class EventNotAuthentic(Exception):
    """Not signed by Stripe with one of our secrets, or not now. The text says which, and quotes nothing."""


class EventNotUsable(Exception):
    """Signed by Stripe with one of our secrets, but it is no event that can be applied. The text says why."""


STRIPE_PROBLEMS = (DependencyUnavailable, StripeUnavailable, StripeRefused)
"""What every route can answer that asks Stripe and writes down what it said."""
NOTHING_CAN_BE_ASKED = (StripeOutOfReach, StripeKeyRefused)
"""What ends a batch: Stripe would answer the next item in the same way."""

"""What Stripe tells us: verified over the bytes as they came, what it names stored once, answered at once. A job does the rest."""

import structlog

from payments.inbox.inbox import EventInbox
from payments.stripe.problems import EventNotAuthentic, EventNotUsable
from payments.stripe.rules import StripeRules
from payments.stripe.what_an_event_names import keep_event
from security.edge.problems import Problem

LARGEST_EVENT = 1024 * 1024


class SignatureNotValid(Problem):
    """`detail` says what is wrong with it. Stripe's dashboard shows the answer to the operator."""

    status, error, title = 400, "signature_not_valid", "This is not an event that Stripe signed for this endpoint"


class EventNotSupported(Problem):
    """Not 200: then money would be taken at Stripe and never credited here, and every delivery would look well."""

    status, error, title = 400, "event_not_supported", "Stripe signed this event, but this endpoint does not support it"


def receive_event(rules: StripeRules, inbox: EventInbox, body: bytes, signature: str | None) -> None:
    """A repetition changes nothing. Raises SignatureNotValid, EventNotSupported, DependencyUnavailable."""
    try:
        event = rules.handler.verified_event(body, signature, rules.webhook_secrets, rules.billing.clock())
    except EventNotAuthentic as refusal:
        structlog.get_logger().warning("stripe_event_refused", reason=str(refusal), size=len(body))
        raise SignatureNotValid(f"{SignatureNotValid.title}: {refusal}") from None
    except EventNotUsable as refusal:
        structlog.get_logger().error("stripe_event_refused", reason=str(refusal), size=len(body))
        raise EventNotSupported(str(refusal)) from None
    keep_event(inbox, event)

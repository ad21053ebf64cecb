"""What Stripe tells us: verified over the bytes as they came, stored once, answered at once. A job does the rest."""

from payments.event_inbox import EventInbox
from payments.stripe_handler import environment_name
from payments.stripe_problems import EventNotAuthentic
from payments.stripe_rules import StripeRules
from payments.subscription_status import Provider
from security.problems import Problem

LARGEST_EVENT = 1024 * 1024


class SignatureNotValid(Problem):
    """One answer for everything that is wrong with an event."""

    status, error, title = 400, "signature_not_valid", "This is not an event that Stripe signed for us"


def receive_event(rules: StripeRules, inbox: EventInbox, body: bytes, signature: str | None) -> bool:
    """Whether it is new. Raises SignatureNotValid, DependencyUnavailable."""
    try:
        event = rules.handler.verified_event(body, signature, rules.webhook_secrets, rules.billing.clock())
    except EventNotAuthentic:
        raise SignatureNotValid from None
    stored = inbox.store(
        provider=Provider.STRIPE,
        external_id=event.id,
        kind=event.kind,
        environment=environment_name(live=event.live),
        body=body,
    )
    return stored is not None

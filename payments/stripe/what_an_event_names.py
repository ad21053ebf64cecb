"""What is kept of an event of Stripe: what happened to which object. The object itself is asked for when the event is applied.

Stripe sends names, e-mail addresses and postal addresses along. They are not stored, so that none is left when an account goes.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from payments.inbox.inbox import EventInbox
from payments.stripe.objects import id_of, subscription_of_invoice
from payments.stripe_handler import environment_name
from payments.subscriptions.status import Provider

ENVELOPE = ("id", "object", "type", "api_version", "created", "livemode")


def keep_event(inbox: EventInbox, event: Mapping[str, Any]) -> bool:
    """False when it is known already."""
    event_id = inbox.store(
        provider=Provider.STRIPE,
        external_id=event["id"],
        kind=event["type"],
        environment=environment_name(live=event["livemode"] is True),
        body=what_it_names(event),
    )
    return event_id is not None


def what_it_names(event: Mapping[str, Any]) -> bytes:
    """The event in Stripe's own shape, as JSON, without everything that nobody reads. What has another shape is left out too."""
    envelope = {name: event[name] for name in ENVELOPE if name in event}
    return orjson.dumps({**envelope, "data": {"object": _named(event)}})


def _named(event: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    with suppress(KeyError, TypeError, AttributeError):
        named = event["data"]["object"]
        kept |= {name: named[name] for name in ("id", "object") if name in named}
        if "charge" in named:
            kept["charge"] = id_of(named["charge"])
        if (subscription_id := subscription_of_invoice(named)) is not None:
            kept["parent"] = {"subscription_details": {"subscription": subscription_id}}
    return kept

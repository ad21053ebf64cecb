"""Cancel the own subscription, whoever sold it."""

from contextlib import suppress
from uuid import UUID

from database import reading
from payments.assembly import Payments
from payments.bodies import SubscriptionItem
from payments.stripe.cancel_and_resume import cancel_subscription
from payments.stripe.own_subscription import NotManagedHere
from payments.subscriptions.before_a_sale import apple_goes_on
from payments.subscriptions.status import Provider
from security.edge.problems import Problem


class ManagedElsewhere(Problem):
    """Only the seller can cancel it. `managed_by` names the seller, and `manage_url` is where the user does it."""

    status, error, title = 409, "managed_elsewhere", "Your subscription is cancelled where you bought it"

    def __init__(self, seller: Provider, url: str) -> None:
        detail = f"You bought this subscription in the App Store. Cancel it there: {url}"
        super().__init__(detail, managed_by=seller.value, manage_url=url)


def cancel_own_subscription(payments: Payments, user_id: UUID) -> SubscriptionItem:
    """Of two, the one at Stripe. Can be repeated. Raises ManagedElsewhere, NotManagedHere and the problems of Stripe."""
    if payments.stripe is not None:
        with suppress(NotManagedHere):
            return cancel_subscription(payments.stripe, user_id)
    with reading() as session:
        if apple_goes_on(session, user_id, payments.rules.clock()):
            raise ManagedElsewhere(Provider.APPLE, payments.manage_urls[Provider.APPLE])
    raise NotManagedHere(managed_by=None)

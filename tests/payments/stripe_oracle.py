"""What a user should have, computed from Stripe's books alone: by docs/payments.md, and not by the code that is tested."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from auth.tiers import Tier
from sandbox.stripe_server.billing.invoices import Invoices, subscription_id
from sandbox.stripe_server.books import Books
from sandbox.stripe_server.protocol.response_shapes import Object
from tests.payments.stripe_app import ENTERPRISE, ENTERPRISE_YEARLY, LEGACY, PRO, PRO_YEARLY, RunningStripe

GRACE = timedelta(days=7)
TIERS = {
    PRO: Tier.PRO,
    PRO_YEARLY: Tier.PRO,
    LEGACY: Tier.PRO,
    ENTERPRISE: Tier.ENTERPRISE,
    ENTERPRISE_YEARLY: Tier.ENTERPRISE,
}
ENDED = frozenset({"canceled", "incomplete_expired"})
ENDED_HERE = frozenset({"expired", "canceled", "revoked"})
OPEN_DISPUTE = frozenset({"needs_response", "under_review"})


@dataclass(frozen=True)
class StripesView:
    """One user's part of the books."""

    books: Books
    invoices: Invoices
    user: UUID

    def customers(self) -> list[str]:
        """Also those that were deleted."""
        own = {"user_id": str(self.user)}
        return [each["id"] for each in self.books.all("customer") if each["metadata"] == own]

    def subscriptions(self) -> list[Object]:
        """The newest first."""
        own = set(self.customers())
        return [each for each in self.books.all("subscription") if each["customer"] in own]

    def running(self) -> list[Object]:
        return [each for each in self.subscriptions() if each["status"] not in ENDED]

    def bills(self, subscription: Object) -> list[Object]:
        """The newest first."""
        return [each for each in self.books.all("invoice") if subscription_id(each) == subscription["id"]]

    def payments(self, subscription: Object) -> list[Object]:
        """The charges that paid for periods, the newest first. The difference of an upgrade pays for no period."""
        return [
            self.invoices.charge_of(each)
            for each in self.bills(subscription)
            if each["status"] == "paid" and each["amount_paid"] and each["billing_reason"] != "subscription_update"
        ]

    def upgrades(self, subscription: Object) -> list[Object]:
        """The charges that paid for a difference."""
        return [
            self.invoices.charge_of(each)
            for each in self.bills(subscription)
            if each["status"] == "paid" and each["amount_paid"] and each["billing_reason"] == "subscription_update"
        ]

    def disputes(self, subscription: Object) -> list[Object]:
        charges = {each["id"] for each in (*self.payments(subscription), *self.upgrades(subscription))}
        return [each for each in self.books.all("dispute") if each["charge"] in charges]

    def tier(self) -> Tier:
        due = [self.tier_of(each) for each in self.running()]
        return max(due, key=lambda tier: tier.rank, default=Tier.FREE)

    def tier_of(self, subscription: Object) -> Tier:
        tier = TIERS[subscription["items"]["data"][0]["price"]["id"]]
        if any(each["status"] in OPEN_DISPUTE for each in self.disputes(subscription)):
            return Tier.FREE
        if subscription["status"] in {"active", "trialing"}:
            return tier
        if (
            subscription["status"] == "past_due"
            and self.books.now() < self.failed_at(subscription) + GRACE.total_seconds()
        ):
            return tier
        return Tier.FREE

    def failed_at(self, subscription: Object) -> int:
        """When the oldest bill that was tried and is still open was made."""
        open_bills = [each for each in self.bills(subscription) if each["status"] == "open" and each["attempted"]]
        return min(int(each["created"]) for each in open_bills)


def complaints(stripe: RunningStripe, user: UUID, may_end: set[str]) -> Iterator[str]:
    """Everything that is not as it should be. `may_end` holds the subscriptions that we had a reason to end at Stripe."""
    view = StripesView(stripe.server.books, stripe.server.invoices, user)
    if (found := stripe.tier(user)) is not (due := view.tier()):
        yield f"the tier is {found}, due is {due}"
    yield from of_rows(stripe, view)
    yield from of_ends(stripe, view, may_end)
    yield from of_ledger(stripe, user)
    for event in stripe.events():
        if event["state"] in {"received", "dead"}:
            yield f"{event['kind']} is {event['state']}: {event['last_error']}"
    for row in stripe.query("SELECT * FROM passed_over_items"):
        yield f"a batch passed over {row}"
    if not view.running() and (answer := stripe.checkout(user)).status_code != 200:
        yield f"nothing runs, and nothing can be bought: {answer.status_code} {answer.text}"


def of_rows(stripe: RunningStripe, view: StripesView) -> Iterator[str]:
    """Each subscription at Stripe has one row that says the same; the ends that are shown are Stripe's."""
    rows = {row["stripe_subscription_id"]: row for row in stripe.subscriptions()}
    theirs = view.subscriptions()
    for subscription in theirs:
        row, status = rows.get(subscription["id"]), subscription["status"]
        if row is None:
            if status not in ENDED:
                yield f"{subscription['id']} is {status} and not known here"
            continue
        if row["provider_status"] != status or (row["status"] in ENDED_HERE) != (status in ENDED):
            yield f"{subscription['id']} is {status}, here {row['provider_status']} ({row['status']})"
        if row["user_id"] != view.user:
            yield f"{subscription['id']} belongs to {row['user_id']}"
        planned = subscription["cancel_at"]
        if status not in ENDED and row["cancel_at"] != (planned and datetime.fromtimestamp(planned, UTC)):
            yield f"{subscription['id']} ends at {planned}, here at {row['cancel_at']}"
    for unknown in rows.keys() - {each["id"] for each in theirs}:
        if rows[unknown]["environment"] == ("live" if view.books.livemode else "test"):
            yield f"Stripe knows nothing of {unknown}"


def of_ends(stripe: RunningStripe, view: StripesView, may_end: set[str]) -> Iterator[str]:
    """We ended what had to be ended, nothing else, and what is disputed rests for exactly so long."""
    ended_by_us = {each.path.rpartition("/")[2] for each in stripe.server.seen if each.verb == "delete"}
    for subscription_ in view.subscriptions():
        name = subscription_["id"]
        if name in ended_by_us and name not in may_end:
            yield f"{name} was ended without a reason"
        if subscription_["status"] in ENDED:
            continue
        payments, disputes = view.payments(subscription_), view.disputes(subscription_)
        if payments and payments[0]["refunded"]:
            yield f"{name} was paid back and goes on"
        if any(each["status"] == "lost" for each in disputes):
            yield f"{name} lost its dispute and goes on"
        is_open = any(each["status"] in OPEN_DISPUTE for each in disputes)
        if is_open != (subscription_["pause_collection"] is not None):
            yield f"{name}: collecting is {'on' if is_open else 'off'}, a dispute is {'open' if is_open else 'not open'}"
    if len(view.running()) > 1:
        yield "two subscriptions are charged"


def of_ledger(stripe: RunningStripe, user: UUID) -> Iterator[str]:
    """Each change stands there once: every entry begins where the one before ended, and the last is what users say."""
    rows = stripe.query(
        "SELECT from_tier, to_tier, expires_at, source, cause FROM entitlement_ledger WHERE user_id = :u ORDER BY id",
        u=user,
    )
    chain = ["free", *(row.to_tier for row in rows)]
    if [row.from_tier for row in rows] != chain[:-1]:
        yield f"the ledger has a gap: {rows}"
    states = [("free", None, None), *((row.to_tier, row.expires_at, row.source) for row in rows)]
    if any(before == after for before, after in pairwise(states)):
        yield f"the ledger holds what is no change: {rows}"
    told = [row.cause for row in rows if row.cause.startswith("stripe:")]
    if len(told) != len(set(told)):
        yield f"an event changed something twice: {rows}"
    [[tier]] = stripe.query("SELECT tier FROM users WHERE id = :u", u=user)
    if tier != chain[-1]:
        yield f"the ledger ends with {chain[-1]}, the user has {tier}"

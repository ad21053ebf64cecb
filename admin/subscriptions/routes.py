"""`/admin/subscriptions` and `/admin/payments`: what was sold, what the providers said of it, and what it is good for."""

from typing import Final
from uuid import UUID

from admin.list_filter import Whose, whose
from admin.subscriptions.bodies import PaymentsQuery, SubscriptionsQuery
from admin.subscriptions.read import (
    PaymentFilter,
    SubscriptionFilter,
    list_payments,
    list_subscriptions,
    read_subscription,
)
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, SitePages, Subject, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal
from auth.tiers import Tier
from database.base import Clock
from payments.purchases.status import PaymentStatus
from payments.subscriptions.status import Provider, SubscriptionStatus
from security.api.operation import Answer, operation
from security.edge.problems import NotFound
from security.logs.log import security_event

SUBSCRIPTIONS: Final = "subscriptions"
PAYMENTS: Final = "payments"


def subscription_pages(clock: Clock) -> Subject:
    return Subject(SUBSCRIPTIONS, "Subscriptions", lambda guards: subscription_routes(guards, clock))


def payment_pages() -> Subject:
    return Subject(PAYMENTS, "Payments", payment_routes)


def subscription_routes(guards: PageGuards, clock: Clock) -> SitePages:
    pages = SitePages(ADMIN, SUBSCRIPTIONS, __name__)

    @operation(
        pages,
        "GET",
        "",
        operation_id="listSubscriptions",
        summary="List subscriptions",
        guard=guards(),
        query=SubscriptionsQuery,
        answers=SHOWS,
    )
    def subscriptions(caller: Principal, query: SubscriptionsQuery) -> Answer:
        account, listed = sold_to(caller, query.account, query.provider_id), None
        if account.hint is None:
            security_event("subscriptions_read", actor_id=caller.user_id, subject_id=account.user_id)
            wanted = SubscriptionFilter(account.user_id, query.provider, query.status, query.tier, query.provider_id)
            listed = list_subscriptions(wanted, query.cursor, query.limit)
        return show(
            "subscriptions_list.html",
            title="Subscriptions",
            query=query,
            hint=account.hint,
            listed=listed,
            providers=list(Provider),
            statuses=list(SubscriptionStatus),
            tiers=list(Tier),
        )

    @operation(
        pages,
        "GET",
        "/<uuid:subscription_id>",
        operation_id="getSubscription",
        summary="See a subscription",
        guard=guards(),
        answers=SHOWS,
        problems=(NotFound,),
    )
    def subscription(caller: Principal, subscription_id: UUID) -> Answer:
        found = read_subscription(subscription_id, clock())
        if found is None:
            raise NotFound("No subscription has this ID")
        security_event("subscriptions_read", actor_id=caller.user_id, subject_id=found.row.user_id)
        return show("subscriptions_one.html", title="Subscription", found=found)

    return pages


def payment_routes(guards: PageGuards) -> SitePages:
    pages = SitePages(ADMIN, PAYMENTS, __name__)

    @operation(
        pages,
        "GET",
        "",
        operation_id="listPayments",
        summary="List one-off payments",
        guard=guards(),
        query=PaymentsQuery,
        answers=SHOWS,
    )
    def payments(caller: Principal, query: PaymentsQuery) -> Answer:
        account, listed = sold_to(caller, query.account, query.provider_id), None
        if account.hint is None:
            security_event("payments_read", actor_id=caller.user_id, subject_id=account.user_id)
            wanted = PaymentFilter(account.user_id, query.status, query.provider_id)
            listed = list_payments(wanted, query.cursor, query.limit)
        return show(
            "payments_list.html",
            title="Payments",
            query=query,
            hint=account.hint,
            listed=listed,
            statuses=list(PaymentStatus),
        )

    return pages


def sold_to(caller: Principal, account: str | None, provider_id: str | None) -> Whose:
    """A provider's id names one account as well as an address does."""
    return Whose(None) if account is None and provider_id is not None else whose(caller, account)

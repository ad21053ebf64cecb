"""`/api/payments/stripe`: buying, changing and cancelling a plan with Stripe, and Stripe's webhook."""

from flask import Blueprint, request

from auth.principal import Principal
from payments.bodies import SubscriptionItem
from payments.inbox.inbox import EventInbox
from payments.stripe.bodies import (
    ChangeBody,
    CheckoutAnswer,
    CheckoutBody,
    PortalAnswer,
    PortalBody,
    ReceivedAnswer,
)
from payments.stripe.cancel_and_resume import cancel_subscription, resume_subscription
from payments.stripe.change_plan import ChangeNotPaid, PaymentDue, SubscriptionEnding, change_plan
from payments.stripe.explain_refusal import CurrencyDiffers, PlanNotOnSale
from payments.stripe.idempotency import KEY_PROBLEMS, REPLAYED_HEADER, once
from payments.stripe.open_portal import NoBillingAccount, open_portal
from payments.stripe.own_subscription import NotManagedHere
from payments.stripe.problems import STRIPE_PROBLEMS, CardDeclined
from payments.stripe.rules import StripeRules
from payments.stripe.start_checkout import AlreadySubscribed, start_checkout
from payments.stripe.webhook import LARGEST_EVENT, EventNotSupported, SignatureNotValid, receive_event
from security.api.operation import Answer, Anyone, Guard, operation
from security.api.request_bodies import Json, Raw
from security.edge.problems import DependencyUnavailable


def stripe_routes(rules: StripeRules, owner: Guard, inbox: EventInbox) -> Blueprint:
    routes = Blueprint("stripe", __name__, url_prefix="/api/payments", cli_group=None)

    @operation(
        routes,
        "POST",
        "/stripe/create-checkout-session",
        operation_id="createCheckoutSession",
        summary="Buy a plan",
        guard=owner,
        body=CheckoutBody,
        answers={200: CheckoutAnswer},
        accepts_idempotency_key=True,
        answer_headers=REPLAYED_HEADER,
        problems=(
            PlanNotOnSale,
            CurrencyDiffers,
            AlreadySubscribed,
            *STRIPE_PROBLEMS,
            *KEY_PROBLEMS,
        ),
    )
    def create_checkout_session(caller: Principal, body: CheckoutBody, idempotency_key: str | None) -> Answer:
        """Returns the address of a checkout page at Stripe. If you ask again while it is open, you get the same page.

        The plan starts when Stripe confirms the payment, not when the customer returns from the page.
        """
        return once(
            caller.user_id,
            "createCheckoutSession",
            idempotency_key,
            body,
            lambda: start_checkout(rules, caller.user_id, body),
            kept=CheckoutAnswer.model_dump_json,
            again=CheckoutAnswer.model_validate_json,
        )

    @operation(
        routes,
        "POST",
        "/stripe/create-portal-session",
        operation_id="createPortalSession",
        summary="Open the customer portal",
        guard=owner,
        body=Json(PortalBody, optional=True),
        answers={200: PortalAnswer},
        problems=(NoBillingAccount, *STRIPE_PROBLEMS),
    )
    def create_portal_session(caller: Principal, body: PortalBody | None) -> Answer:
        """Returns the address of the user's page at Stripe, for payment methods and invoices. Call this for every click."""
        return_url = rules.redirects.checked(body.return_url if body else None, "return_url")
        return Answer(200, PortalAnswer(portal_url=open_portal(rules, caller.user_id, return_url)))

    @operation(
        routes,
        "POST",
        "/stripe/subscription/cancel",
        operation_id="cancelSubscription",
        summary="Cancel your subscription at the end of the period",
        guard=owner,
        answers={200: SubscriptionItem},
        problems=(NotManagedHere, *STRIPE_PROBLEMS),
    )
    def cancel(caller: Principal) -> Answer:
        """The plan stays active until `ends_at`, and you can undo the cancellation until then. Repeating it changes nothing.

        While a payment is due, there is no paid period: the subscription then ends immediately and is not charged again.
        """
        return Answer(200, cancel_subscription(rules, caller.user_id))

    @operation(
        routes,
        "POST",
        "/stripe/subscription/resume",
        operation_id="resumeSubscription",
        summary="Undo the cancellation of your subscription",
        guard=owner,
        answers={200: SubscriptionItem},
        problems=(NotManagedHere, *STRIPE_PROBLEMS),
    )
    def resume(caller: Principal) -> Answer:
        """Possible until the subscription has ended. Repeating it changes nothing."""
        return Answer(200, resume_subscription(rules, caller.user_id))

    @operation(
        routes,
        "POST",
        "/stripe/subscription/change",
        operation_id="changeSubscription",
        summary="Change your plan",
        guard=owner,
        body=ChangeBody,
        answers={200: SubscriptionItem},
        accepts_idempotency_key=True,
        answer_headers=REPLAYED_HEADER,
        problems=(
            PlanNotOnSale,
            CurrencyDiffers,
            NotManagedHere,
            PaymentDue,
            SubscriptionEnding,
            ChangeNotPaid,
            CardDeclined,
            *STRIPE_PROBLEMS,
            *KEY_PROBLEMS,
        ),
    )
    def change(caller: Principal, body: ChangeBody, idempotency_key: str | None) -> Answer:
        """A higher plan starts immediately and costs the difference. A lower one starts with the next period (`pending_tier`).

        To undo a planned change, ask for the current plan.
        """
        return once(
            caller.user_id,
            "changeSubscription",
            idempotency_key,
            body,
            lambda: change_plan(rules, caller.user_id, body.tier.tier, body.billing_cycle),
            kept=SubscriptionItem.model_dump_json,
            again=SubscriptionItem.model_validate_json,
        )

    if rules.webhook_secrets:
        add_webhook(routes, rules, inbox)
    return routes


def add_webhook(routes: Blueprint, rules: StripeRules, inbox: EventInbox) -> None:
    @operation(
        routes,
        "POST",
        "/stripe/webhook",
        operation_id="receiveStripeEvent",
        summary="Receive a Stripe event",
        guard=Anyone("the signature over the body says that it is Stripe"),
        body=Raw("application/json", limit=LARGEST_EVENT),
        answers={200: ReceivedAnswer},
        problems=(SignatureNotValid, EventNotSupported, DependencyUnavailable),
    )
    def webhook(body: bytes) -> Answer:
        """Only for Stripe, which signs what it sends in `Stripe-Signature`."""
        receive_event(rules, inbox, body, request.headers.get("Stripe-Signature"))
        return Answer(200, ReceivedAnswer())

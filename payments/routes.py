"""`/api/payments`: the plans, and the own subscription. Each provider adds routes of its own."""

from flask import Blueprint

from auth.principal import Principal
from payments.apple.routes import apple_routes
from payments.assembly import Payments
from payments.billing.routes import billing_routes
from payments.bodies import PlansAnswer, SubscriptionAnswer, SubscriptionItem
from payments.cancel_subscription import ManagedElsewhere, cancel_own_subscription
from payments.plans import plan_answer
from payments.purchases.commands import add_item_commands
from payments.purchases.routes import add_purchases
from payments.stripe.commands import stripe_commands
from payments.stripe.own_subscription import NotManagedHere
from payments.stripe.price_list import PriceList
from payments.stripe.problems import STRIPE_PROBLEMS
from payments.stripe.return_pages import return_pages
from payments.stripe.routes import stripe_routes
from payments.subscriptions.read import read_subscription
from security.api.operation import Answer, Anyone, operation
from security.edge.problems import DependencyUnavailable


def payment_blueprints(payments: Payments) -> list[Blueprint]:
    """With those of every provider that is set up."""
    billing = billing_routes(payments.periods, payments.stripe, signed_in=payments.signed_in, owner=payments.owner)
    routes = [payment_routes(payments), billing]
    if (stripe := payments.stripe) is not None:
        web = stripe_routes(stripe, payments.owner, payments.inbox)
        add_purchases(web, stripe, payments.owner)
        commands = stripe_commands(stripe)
        add_item_commands(commands, stripe)
        web.cli.add_command(commands)
        routes += [web, return_pages()]
    if payments.apple is not None:
        routes.append(apple_routes(payments, payments.apple))
    return routes


def payment_routes(payments: Payments) -> Blueprint:
    routes = Blueprint("payments", __name__, url_prefix="/api/payments")
    price_list = None if payments.stripe is None else PriceList(payments.stripe)

    @operation(
        routes,
        "GET",
        "/plans",
        operation_id="listPlans",
        summary="List the plans",
        guard=Anyone("prices are looked at before anybody signs up"),
        answers={200: PlansAnswer},
    )
    def plans() -> Answer:
        """What each plan includes, where it can be bought, and what it costs on the web.

        `price_cents` among the limits of a feature is what one call of it costs now, besides the plan.
        """
        prices = {} if price_list is None else price_list.prices()
        calls = payments.call_prices()
        return Answer(200, PlansAnswer(plans=[plan_answer(plan, prices, calls) for plan in payments.plans]))

    @operation(
        routes,
        "GET",
        "/subscription",
        operation_id="getSubscription",
        summary="Get your subscription",
        guard=payments.signed_in,
        answers={200: SubscriptionAnswer},
        problems=(DependencyUnavailable,),
    )
    def subscription(caller: Principal) -> Answer:
        """Your tier and where it comes from. `renews_at` is null if the subscription ends at `ends_at` without renewing
        first.
        """
        return Answer(200, read_subscription(caller.user_id, payments.manage_urls, payments.rules.clock()))

    @operation(
        routes,
        "POST",
        "/subscription/cancel",
        operation_id="cancelOwnSubscription",
        summary="Cancel your subscription, wherever you bought it",
        guard=payments.owner,
        answers={200: SubscriptionItem},
        problems=(ManagedElsewhere, NotManagedHere, *STRIPE_PROBLEMS),
    )
    def cancel(caller: Principal) -> Answer:
        """Bought on the web, it ends as `POST /api/payments/stripe/subscription/cancel` says. Bought in the App Store, only Apple
        can cancel it: the answer is 409 `managed_elsewhere`, and `manage_url` is the page to open. If you have two, the one from
        the web is cancelled.
        """
        return Answer(200, cancel_own_subscription(payments, caller.user_id))

    return routes

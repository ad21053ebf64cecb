"""`flask stripe`: checking the prices against Stripe, and a user's customer there."""

from uuid import UUID

import click
from flask.cli import AppGroup

from database import transaction
from payments.product_table import Product
from payments.stripe.change_plan import INTERVALS
from payments.stripe.customer import forget_stripe_customer, known_stripe_customer
from payments.stripe.problems import StripeObjectMissing, StripeRefused, StripeUnavailable
from payments.stripe.rules import StripeRules
from payments.subscriptions.before_a_sale import present_seller
from payments.subscriptions.status import Provider


def stripe_commands(rules: StripeRules) -> AppGroup:
    group = AppGroup("stripe", help="Manage Stripe prices and one-off items.")

    @group.command("check-prices")
    def check_prices() -> None:
        """Check that the prices at Stripe match STRIPE_PRICES. Run this after you change either."""
        try:
            problems = [problem for product in rules.prices.on_sale.values() if (problem := problem_of(rules, product))]
        except (StripeUnavailable, StripeRefused) as refusal:
            raise click.ClickException(str(refusal)) from None
        for problem in problems:
            click.echo(problem, err=True)
        if problems:
            raise click.ClickException(
                f"{len(problems)} of {len(rules.prices.on_sale)} prices do not match STRIPE_PRICES."
            )
        click.echo(f"{len(rules.prices.on_sale)} prices are on sale and match STRIPE_PRICES.")

    @group.command("new-customer")
    @click.argument("user_id", type=click.UUID)
    def new_customer(user_id: UUID) -> None:
        """Give a user a new Stripe customer.

        It starts with the user's next purchase, so that they can pay in another currency. Invoices of the old customer stay
        at Stripe, but the user's portal no longer shows them.
        """
        with transaction() as session:
            seller = present_seller(session, user_id, rules.handler.address.environment, rules.billing.clock())
            if seller is not None and seller.provider is Provider.STRIPE:
                raise click.ClickException("This user still has a subscription at Stripe. End it first.")
            customer_id = known_stripe_customer(session, user_id)
            if customer_id is None:
                raise click.ClickException("This user is not a customer at Stripe.")
            forget_stripe_customer(session, customer_id)
        click.echo("The user's next purchase will start a new customer at Stripe.")

    return group


def problem_of(rules: StripeRules, product: Product) -> str | None:
    """What is wrong with the price of a product on sale. Raises StripeUnavailable, StripeRefused."""
    assert product.cycle is not None
    try:
        price = rules.handler.price(product.product_id)
    except StripeObjectMissing:
        return f"{product.product_id}: Stripe does not have this price in {rules.handler.address.environment} mode"
    wanted = INTERVALS[product.cycle]
    if not price.active:
        return f"{product.product_id}: the price is not active"
    if (price.interval, price.interval_count) != (wanted, 1):
        return f"{product.product_id}: the price is charged every {price.interval_count} {price.interval}, not every {wanted}"
    return None

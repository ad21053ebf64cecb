"""`flask stripe`: checking the prices against Stripe, and a user's customer there."""

from uuid import UUID

import click
from flask.cli import AppGroup

from database import transaction
from payments.product_table import Product
from payments.stripe.change_plan import INTERVALS
from payments.stripe.customer import forget_customer_of
from payments.stripe.problems import StripeObjectMissing, StripeRefused, StripeUnavailable
from payments.stripe.rules import StripeRules
from payments.subscriptions.present_seller import present_seller
from payments.subscriptions.status import Provider


def stripe_commands(rules: StripeRules) -> AppGroup:
    group = AppGroup("stripe", help="Prices at Stripe, and items that are sold once.")

    @group.command("check-prices")
    def check_prices() -> None:
        """Ask Stripe whether every price on sale is what STRIPE_PRICES says. Run it after a change of either."""
        problems = [problem for product in rules.prices.on_sale.values() if (problem := problem_of(rules, product))]
        for problem in problems:
            click.echo(problem, err=True)
        if problems:
            raise click.ClickException(
                f"{len(problems)} of {len(rules.prices.on_sale)} prices are not as they should be."
            )
        click.echo(f"{len(rules.prices.on_sale)} prices are on sale as configured.")

    @group.command("new-customer")
    @click.argument("user_id", type=click.UUID)
    def new_customer(user_id: UUID) -> None:
        """Give a user a new billing account at Stripe with the next purchase, so that they can pay in another currency.

        Invoices of the old one stay at Stripe and no longer show in the user's portal.
        """
        with transaction() as session:
            seller = present_seller(session, user_id, rules.handler.address.environment, rules.billing.clock())
            if seller is not None and seller.provider is Provider.STRIPE:
                raise click.ClickException("This user has a subscription at Stripe. It has to end first.")
            if not forget_customer_of(session, user_id):
                raise click.ClickException("This user has no billing account at Stripe.")
        click.echo("The next purchase begins with a new customer at Stripe.")

    return group


def problem_of(rules: StripeRules, product: Product) -> str | None:
    assert product.cycle is not None
    try:
        price = rules.handler.price(product.product_id)
    except StripeObjectMissing:
        return f"{product.product_id}: Stripe has no such price in {rules.handler.address.environment} mode"
    except (StripeUnavailable, StripeRefused) as problem:
        raise click.ClickException(str(problem)) from None
    wanted = INTERVALS[product.cycle]
    if not price.active:
        return f"{product.product_id}: is not active"
    if (price.interval, price.interval_count) != (wanted, 1):
        return f"{product.product_id}: is charged every {price.interval_count} {price.interval}, not every {wanted}"
    return None

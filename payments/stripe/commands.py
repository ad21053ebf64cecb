"""`flask stripe`: checking the prices against Stripe, and what is sold once."""

import re
from uuid import UUID

import click
from flask.cli import AppGroup
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import reading, transaction
from payments.models import Item, Payment
from payments.product_table import Product
from payments.purchases.items import ITEM
from payments.purchases.status import OPEN
from payments.stripe.change_plan import INTERVALS
from payments.stripe.customer import forget_customer_of
from payments.stripe.problems import StripeObjectMissing, StripeRefused, StripeUnavailable
from payments.stripe.rules import StripeRules
from payments.subscriptions.present_seller import present_seller
from payments.subscriptions.status import Provider

CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


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

    @group.command("set-item")
    @click.argument("code")
    @click.option("--title", help="Needed when it is new.")
    @click.option("--amount", type=click.IntRange(50, 99_999_999), help="In minor units: cents. Needed when it is new.")
    @click.option("--currency", help="Three letters, as ISO 4217 has them. When it is new: usd.")
    @click.option("--stock", type=click.IntRange(0), help="How many there are, with those that are set aside.")
    @click.option("--endless", is_flag=True, help="It never runs out, as a new one without --stock.")
    @click.option(
        "--active/--inactive", "is_active", default=None, help="Whether it is on sale. When it is new: it is."
    )
    def set_item(*, code: str, stock: int | None, endless: bool, **given: str | int | bool | None) -> None:
        """Put something on sale, or change what is given and nothing else. What was ordered before keeps its price."""
        if CODE.fullmatch(code) is None:
            raise click.BadParameter("a code is lower-case letters, digits, - and _", param_hint="CODE")
        if given["currency"] is not None and re.fullmatch(r"[a-z]{3}", str(given["currency"])) is None:
            raise click.BadParameter("a currency is three lower-case letters", param_hint="--currency")
        if endless and stock is not None:
            raise click.UsageError("Give --stock or --endless.")
        changes = {name: value for name, value in given.items() if value is not None}
        now = rules.billing.clock()
        with transaction() as session:
            item = session.scalars(select(Item).where(Item.code == code).with_for_update()).one_or_none()
            if item is None:
                if not {"title", "amount"} <= changes.keys():
                    raise click.UsageError(f"{code} is new: give --title and --amount.")
                item = Item(code=code, currency="usd", is_active=True, created_at=now)
                session.add(item)
            for name, value in changes.items():
                setattr(item, name, value)
            item.updated_at = now
            session.flush()
            if endless or stock is not None:
                item.stock = None if stock is None else left_to_sell(session, item, stock)
            on_sale = item.is_active
        click.echo(f"{code} is {'on sale' if on_sale else 'not on sale'}.")

    @group.command("items")
    def items() -> None:
        """List what is sold once."""
        with reading() as session:
            for item in session.scalars(select(Item).order_by(Item.code)):
                left = "any number" if item.stock is None else f"{item.stock} left"
                state = "on sale" if item.is_active else "not on sale"
                click.echo(f"{item.code}  {item.amount} {item.currency}  {left}  {state}  {item.title}")

    return group


def left_to_sell(session: Session, item: Item, there_are: int) -> int:
    """Without what is set aside for payments that are open. The item is locked, so nothing is set aside meanwhile."""
    set_aside: int = session.execute(
        select(func.coalesce(func.sum(Payment.quantity), 0)).where(
            Payment.purchase_kind == ITEM, Payment.purchase_id == item.id, Payment.status.in_(OPEN)
        )
    ).scalar_one()
    if set_aside > there_are:
        raise click.UsageError(
            f"{set_aside} of {item.code} are set aside for payments that are open. Give at least that many."
        )
    return there_are - set_aside


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

"""`flask stripe items`: what is sold once."""

import re

import click
from flask.cli import AppGroup
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import reading, transaction
from payments.models import Item, Payment
from payments.purchases.items import ITEM
from payments.purchases.status import OPEN
from payments.stripe.rules import StripeRules

CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def add_item_commands(group: AppGroup, rules: StripeRules) -> None:
    @group.command("set-item")
    @click.argument("code")
    @click.option("--title", help="The title that customers see. Required for a new item.")
    @click.option(
        "--amount",
        type=click.IntRange(50, 99_999_999),
        help="The price in minor units, such as cents. Required for a new item.",
    )
    @click.option("--currency", help="The currency as three letters (ISO 4217). Default for a new item: usd.")
    @click.option("--stock", type=click.IntRange(0), help="How many there are in total, including reserved ones.")
    @click.option("--endless", is_flag=True, help="The item never runs out. Default for a new item without --stock.")
    @click.option(
        "--active/--inactive",
        "is_active",
        default=None,
        help="Whether the item is on sale. Default for a new item: --active.",
    )
    def set_item(*, code: str, stock: int | None, endless: bool, **given: str | int | bool | None) -> None:
        """Put an item on sale or change it. Options that you leave out stay the same. Existing orders keep their price."""
        if CODE.fullmatch(code) is None:
            raise click.BadParameter("use only lower-case letters, digits, - and _", param_hint="CODE")
        if given["currency"] is not None and re.fullmatch(r"[a-z]{3}", str(given["currency"])) is None:
            raise click.BadParameter("use three lower-case letters", param_hint="--currency")
        if endless and stock is not None:
            raise click.UsageError("Use either --stock or --endless, not both.")
        changes = {name: value for name, value in given.items() if value is not None}
        now = rules.billing.clock()
        with transaction() as session:
            item = session.scalars(select(Item).where(Item.code == code).with_for_update()).one_or_none()
            if item is None:
                if not {"title", "amount"} <= changes.keys():
                    raise click.UsageError(f"{code} is a new item. Add --title and --amount.")
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
        """List one-off items."""
        with reading() as session:
            for item in session.scalars(select(Item).order_by(Item.code)):
                left = "any number" if item.stock is None else f"{item.stock} left"
                state = "on sale" if item.is_active else "not on sale"
                click.echo(f"{item.code}  {item.amount} {item.currency}  {left}  {state}  {item.title}")


def left_to_sell(session: Session, item: Item, there_are: int) -> int:
    """Without what is set aside for payments that are open. The item is locked, so nothing is set aside meanwhile."""
    set_aside: int = session.execute(
        select(func.coalesce(func.sum(Payment.quantity), 0)).where(
            Payment.purchase_kind == ITEM, Payment.purchase_id == item.id, Payment.status.in_(OPEN)
        )
    ).scalar_one()
    if set_aside > there_are:
        raise click.UsageError(
            f"{set_aside} of {item.code} are reserved for open payments. The stock must be at least that number."
        )
    return there_are - set_aside

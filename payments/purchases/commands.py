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

"""Place an order: all that it names is taken from the stock, or nothing.

Prices are read first. One statement then writes the order with its lines and takes the goods, in the order of the products' ids, so
that two orders of the same products never wait for each other. It is the last one before the commit, for nobody else can buy these
products between the two.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import bindparam

from capabilities.shop.models import OrderStatus
from capabilities.shop.money import chargeable, minor_units, written
from capabilities.shop.move_order import Actor
from capabilities.shop.once import Keep
from capabilities.shop.orders.bodies import AddressAnswer, OrderAnswer, OrderItemAnswer, PlaceOrderBody
from capabilities.shop.orders.emails import tell_confirmed
from capabilities.shop.orders.order_number import new_number
from capabilities.shop.orders.payment_status import OrderPaymentStatus
from capabilities.shop.orders.problems import (
    CurrenciesDiffer,
    OutOfStock,
    PriceChanged,
    ProductNotFound,
    TooManyOpenOrders,
)
from capabilities.shop.rules import ShopRules
from database import transaction
from database.base import uuid7
from payments.purchases.create import LARGEST_AMOUNT, AmountTooLarge
from security.edge.problems import DependencyUnavailable, InvalidToken, ValidationFailed, field_error

TRIES: Final = 5
NUMBER_TAKEN: Final = "uq_shop_orders_number"

READ: Final = text("""
    SELECT FROM users WHERE id = :user_id FOR NO KEY UPDATE;
    SELECT
        person.is_active AS may_order,
        (SELECT count(*) FROM shop_orders WHERE user_id = :user_id AND status = 'pending') AS open_orders,
        product.id, product.name, product.price_minor, product.currency, product.ships, product.is_active, product.stock_quantity
    FROM users AS person LEFT JOIN shop_products AS product ON product.id = ANY(:product_ids)
    WHERE person.id = :user_id
""")
"""The user's row is locked until the commit, so that of many orders at once no more are open than may be. The second statement
begins when the lock is held, and so sees what the last holder wrote."""
WRITE: Final = text("""
    WITH placed AS (
        INSERT INTO shop_orders (
            id, user_id, number, status, total_minor, currency, shipping_minor, ship_to, note, reserved_until, placed_at, confirmed_at,
            updated_at
        ) VALUES (
            :id, :user_id, :number, :status, :total_minor, :currency, :shipping_minor, :ship_to, :note, :reserved_until, :now,
            :confirmed_at, :now
        ) RETURNING id
    ), events AS (
        INSERT INTO shop_order_events (id, order_id, from_status, to_status, actor, at)
        SELECT event.id, :id, event.from_status, event.to_status, event.actor, :now
        FROM unnest(CAST(:event_ids AS uuid[]), CAST(:from AS text[]), CAST(:to AS text[]), CAST(:actors AS text[]))
            AS event (id, from_status, to_status, actor)
    ), lines AS (
        INSERT INTO shop_order_items (id, order_id, product_id, name, unit_price_minor, quantity)
        SELECT line.id, placed.id, line.product_id, line.name, line.price_minor, line.quantity
        FROM placed, unnest(
            CAST(:item_ids AS uuid[]), CAST(:product_ids AS uuid[]), CAST(:names AS text[]), CAST(:prices AS bigint[]),
            CAST(:quantities AS integer[])
        ) AS line (id, product_id, name, price_minor, quantity)
        RETURNING id, product_id, unit_price_minor, quantity
    ), locked AS MATERIALIZED (
        SELECT product.id FROM shop_products AS product WHERE product.id IN (SELECT product_id FROM lines)
        ORDER BY product.id FOR NO KEY UPDATE OF product
    ), taken AS (
        UPDATE shop_products AS product SET stock_quantity = product.stock_quantity - lines.quantity
        FROM locked JOIN lines ON lines.product_id = locked.id
        WHERE product.id = locked.id AND product.is_active AND product.price_minor = lines.unit_price_minor
            AND product.stock_quantity >= lines.quantity
        RETURNING product.id AS product_id, lines.id AS order_item_id, lines.quantity
    )
    INSERT INTO stock_movements (id, product_id, delta, kind, order_item_id, at)
    SELECT movement.id, taken.product_id, -taken.quantity, 'reserve', taken.order_item_id, :now
    FROM taken JOIN unnest(CAST(:movement_ids AS uuid[]), CAST(:item_ids AS uuid[])) AS movement (id, order_item_id)
        ON movement.order_item_id = taken.order_item_id
    RETURNING product_id
""").bindparams(bindparam("ship_to", type_=JSONB(none_as_null=True)))


class LinesNotTaken(Exception):
    """Somebody else was quicker, or the staff changed a product: nothing of the order is kept."""


@dataclass(frozen=True)
class Line:
    """All of one product. `places`: where the body names it."""

    product_id: UUID
    name: str
    price_minor: int
    currency: str
    ships: bool
    quantity: int
    available: int
    places: Sequence[int]


@dataclass(frozen=True)
class Draft:
    """What is going to be ordered. `open_orders` of the buyer wait for payment already."""

    user_id: UUID
    body: PlaceOrderBody
    lines: Sequence[Line]
    currency: str
    shipping_minor: int
    total_minor: int
    open_orders: int


def place_order(rules: ShopRules, user_id: UUID, body: PlaceOrderBody, keep: Keep) -> OrderAnswer:
    """Raises ProductNotFound, OutOfStock, PriceChanged, CurrenciesDiffer, AmountTooLarge, TooManyOpenOrders, ValidationFailed,
    InvalidToken.
    """
    seen: Mapping[UUID, int] = {}
    for _ in range(TRIES):
        try:
            with transaction() as session:
                draft = drafted(rules, session, user_id, body, seen)
                seen = {line.product_id: line.price_minor for line in draft.lines}
                return written_order(rules, session, draft, keep)
        except LinesNotTaken:
            continue  # it is judged anew, and refused for what changed
        except IntegrityError as error:
            if NUMBER_TAKEN not in str(error.orig):
                raise
    raise DependencyUnavailable


def drafted(rules: ShopRules, session: Session, user_id: UUID, body: PlaceOrderBody, seen: Mapping[UUID, int]) -> Draft:
    """`seen` are the prices of the last try, which the buyer would have paid."""
    wanted: Counter[UUID] = Counter()
    for each in body.items:
        wanted[each.product_id] += each.quantity
    rows = session.execute(READ, {"user_id": user_id, "product_ids": list(wanted)}).all()
    if not rows or not rows[0].may_order:
        raise InvalidToken
    on_sale = {row.id: row for row in rows if row.is_active}
    places: dict[UUID, list[int]] = {}
    for place, each in enumerate(body.items):
        places.setdefault(each.product_id, []).append(place)
    missing = [each for each in wanted if each not in on_sale]
    if missing:
        raise ProductNotFound(
            errors=[_error(place, "product_not_found", each) for each in missing for place in places[each]]
        )
    lines = [
        Line(
            product_id,
            row.name,
            row.price_minor,
            row.currency,
            row.ships,
            wanted[product_id],
            row.stock_quantity,
            places[product_id],
        )
        for product_id, row in sorted(on_sale.items(), key=lambda item: item[0])
    ]
    currencies = sorted({line.currency for line in lines})
    if len(currencies) > 1:
        raise CurrenciesDiffer(currencies=currencies)
    ships = any(line.ships for line in lines)
    shipping = chargeable(rules.shipping_minor, currencies[0]) if ships else 0
    total = shipping + sum(line.price_minor * line.quantity for line in lines)
    draft = Draft(user_id, body, lines, currencies[0], shipping, total, rows[0].open_orders)
    if ships and body.ship_to is None:
        raise ValidationFailed([field_error(["ship_to"], "missing", "Enter the address that the order goes to")])
    refuse(rules, draft, seen)
    return draft


def refuse(rules: ShopRules, draft: Draft, seen: Mapping[UUID, int]) -> None:
    """All lines that fail are told at once."""
    errors = [
        _error(place, "out_of_stock", line.product_id, requested=line.quantity, available=line.available)
        for line in draft.lines
        if line.available < line.quantity
        for place in line.places
    ]
    changed = [line for line in draft.lines if seen.get(line.product_id, line.price_minor) != line.price_minor]
    price_errors = [
        _error(place, "price_changed", line.product_id, price_minor=line.price_minor)
        for line in changed
        for place in line.places
    ]
    if errors:
        raise OutOfStock(errors=[*errors, *price_errors])
    if price_errors or not _is_expected(draft):
        prices = [
            {
                "product_id": str(line.product_id),
                "price": written(line.price_minor, draft.currency),
                "price_minor": line.price_minor,
            }
            for line in draft.lines
        ]
        raise PriceChanged(
            errors=price_errors,
            prices=prices,
            currency=draft.currency,
            total_amount=written(draft.total_minor, draft.currency),
            total_minor=draft.total_minor,
        )
    if draft.total_minor > LARGEST_AMOUNT:
        raise AmountTooLarge
    if draft.total_minor and draft.open_orders >= rules.max_open_orders:
        raise TooManyOpenOrders(limit=rules.max_open_orders)


def _is_expected(draft: Draft) -> bool:
    """Raises ValidationFailed for more digits than the currency has."""
    expected_total = draft.body.expected_total
    if expected_total is None:
        return True
    try:
        return minor_units(expected_total, draft.currency) == draft.total_minor
    except ValueError as refusal:
        raise ValidationFailed([field_error(["expected_total"], "value_error", str(refusal))]) from None


def _error(place: int, code: str, product_id: UUID, **members: Any) -> dict[str, Any]:
    told = field_error(["items", place], code, ERRORS[code])
    return {**told, "product_id": str(product_id), **members}


ERRORS: Final = {
    "product_not_found": "This product is not on sale",
    "out_of_stock": "There are not enough left",
    "price_changed": "The price has changed",
}


def written_order(rules: ShopRules, session: Session, draft: Draft, keep: Keep) -> OrderAnswer:
    """Raises LinesNotTaken."""
    now = rules.clock()
    answer, ship_to = answer_of(rules, draft, now), draft.body.ship_to
    keep(session, answer)
    items = answer.items
    status = OrderStatus(answer.status)
    moves: list[tuple[OrderStatus | None, OrderStatus, Actor]] = [(None, OrderStatus.PENDING, Actor.BUYER)]
    if status is OrderStatus.CONFIRMED:
        moves.append((OrderStatus.PENDING, status, Actor.SYSTEM))
    taken = session.execute(
        WRITE,
        {
            "id": answer.id,
            "user_id": draft.user_id,
            "number": answer.number,
            "status": status,
            "total_minor": answer.total_minor,
            "currency": answer.currency,
            "shipping_minor": answer.shipping_minor,
            "ship_to": None if ship_to is None else ship_to.model_dump(),
            "note": answer.note,
            "reserved_until": answer.reserved_until,
            "now": now,
            "confirmed_at": answer.confirmed_at,
            "event_ids": [uuid7() for _ in moves],
            "from": [old for old, _, _ in moves],
            "to": [new for _, new, _ in moves],
            "actors": [actor for _, _, actor in moves],
            "item_ids": [item.id for item in items],
            "product_ids": [item.product_id for item in items],
            "names": [item.name for item in items],
            "prices": [item.unit_price_minor for item in items],
            "quantities": [item.quantity for item in items],
            "movement_ids": [uuid7() for _ in items],
        },
    ).all()
    if len(taken) < len(items):
        raise LinesNotTaken
    if status is OrderStatus.CONFIRMED:
        tell_confirmed(rules, session, answer.id)
    return answer


def answer_of(rules: ShopRules, draft: Draft, now: datetime) -> OrderAnswer:
    """An order that costs nothing is confirmed at once."""
    free, currency, ship_to = draft.total_minor == 0, draft.currency, draft.body.ship_to
    items = [
        OrderItemAnswer(
            id=uuid7(),
            product_id=line.product_id,
            name=line.name,
            unit_price=written(line.price_minor, currency),
            unit_price_minor=line.price_minor,
            quantity=line.quantity,
            refunded_quantity=0,
        )
        for line in sorted(draft.lines, key=attrgetter("places"))
    ]
    return OrderAnswer(
        id=uuid7(),
        number=new_number(),
        status=OrderStatus.CONFIRMED if free else OrderStatus.PENDING,
        payment_status=OrderPaymentStatus.PAID if free else OrderPaymentStatus.UNPAID,
        user_id=draft.user_id,
        total_amount=written(draft.total_minor, currency),
        total_minor=draft.total_minor,
        shipping_amount=written(draft.shipping_minor, currency),
        shipping_minor=draft.shipping_minor,
        refunded_amount=written(0, currency),
        refunded_minor=0,
        currency=currency,
        items=items,
        ship_to=None if ship_to is None else AddressAnswer(**ship_to.model_dump()),
        note=draft.body.note,
        tracking=None,
        reserved_until=now + rules.reservation,
        stripe_payment_intent_id=None,
        payment_id=None,
        cancel_reason=None,
        created_at=now,
        confirmed_at=now if free else None,
        shipped_at=None,
        delivered_at=None,
        cancelled_at=None,
        updated_at=now,
    )

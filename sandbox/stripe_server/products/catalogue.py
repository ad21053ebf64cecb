"""What is sold: products and their prices."""

import calendar
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from sandbox.stripe_server.books import Books, Call, Handlers, merged_metadata
from sandbox.stripe_server.protocol.refusals import WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object, shaped

MONTHLY, YEARLY = "month", "year"
DAY_SECONDS = 24 * 60 * 60


class Catalogue:
    def __init__(self, books: Books) -> None:
        self._books = books

    def handlers(self) -> Handlers:
        return {
            ("post", "/v1/products"): self._create_product,
            ("get", "/v1/products/{id}"): lambda call: self._books.get("product", call.arguments[0]),
            ("post", "/v1/products/{id}"): self._update_product,
            ("get", "/v1/products"): self._list_products,
            ("post", "/v1/prices"): self._create_price,
            ("get", "/v1/prices/{price}"): lambda call: self._books.get("price", call.arguments[0]),
            ("post", "/v1/prices/{price}"): self._update_price,
            ("get", "/v1/prices"): self._list_prices,
        }

    def add_product(self, product_id: str | None, name: str, **values: Any) -> Object:
        given = {"id": product_id} if product_id else {}
        return self._books.keep(
            "product",
            "prod",
            **given,
            active=values.get("active", True),
            name=name,
            description=values.get("description"),
            images=[],
            marketing_features=[],
            metadata=values.get("metadata") or {},
            type="service",
            updated=self._books.now(),
        )

    def add_price(
        self,
        product: str,
        amount: int,
        currency: str,
        interval: str | None,
        *,
        price_id: str | None = None,
        lookup_key: str | None = None,
        active: bool = True,
        metadata: dict[str, str] | None = None,
        interval_count: int = 1,
    ) -> Object:
        """`amount` in the currency's smallest unit. Without an interval it is paid once."""
        given = {"id": price_id} if price_id else {}
        recurring = interval and {
            "interval": interval,
            "interval_count": interval_count,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        }
        return self._books.keep(
            "price",
            "price",
            **given,
            active=active,
            billing_scheme="per_unit",
            currency=currency,
            lookup_key=lookup_key,
            metadata=metadata or {},
            product=product,
            recurring=recurring or None,
            tax_behavior="unspecified",
            type="recurring" if recurring else "one_time",
            unit_amount=amount,
            unit_amount_decimal=str(amount),
        )

    def sold(self, price_id: str, param: str) -> Object:
        """The price, if it can be bought now. Raises WrongParameter or NoSuchObject."""
        price = self._books.get("price", price_id, param)
        if not price["active"]:
            raise WrongParameter("The price specified is inactive. This field only accepts active prices.", param=param)
        return price

    def _create_product(self, call: Call) -> Object:
        call.imitated("id", "name", "description", "metadata", "active")
        values = {name: value for name, value in call.params.items() if name not in {"id", "name", "expand"}}
        return self.add_product(call.params.get("id"), call.params["name"], **values)

    def _update_product(self, call: Call) -> Object:
        call.imitated("name", "description", "metadata", "active")
        product = self._books.get("product", call.arguments[0])
        return self._update(product, call)

    def _list_products(self, call: Call) -> Object:
        call.imitated("active", "ids", "limit", "starting_after", "ending_before", "created")
        equal = self._books.named(call, "active")
        found = self._books.all("product", **equal)
        return self._books.page(call, (each for each in found if each["id"] in call.params.get("ids", [each["id"]])))

    def _create_price(self, call: Call) -> Object:
        call.imitated("product", "unit_amount", "currency", "recurring", "lookup_key", "metadata", "active")
        if "product" not in call.params or "unit_amount" not in call.params:
            raise WrongParameter("Missing required param: product or unit_amount.", code="parameter_missing")
        recurring = call.params.get("recurring", {})
        self._free_lookup_key(call.params.get("lookup_key"))
        return self.add_price(
            self._books.get("product", call.params["product"], "product")["id"],
            call.params["unit_amount"],
            call.params["currency"],
            recurring.get("interval"),
            lookup_key=call.params.get("lookup_key"),
            active=call.params.get("active", True),
            metadata=dict(call.params.get("metadata", {})),
            interval_count=recurring.get("interval_count", 1),
        )

    def _free_lookup_key(self, key: str | None) -> None:
        if key and any(self._books.all("price", lookup_key=key)):
            raise WrongParameter(f"A price with the lookup key `{key}` already exists.", param="lookup_key")

    def _update_price(self, call: Call) -> Object:
        call.imitated("active", "metadata", "lookup_key", "nickname")
        return self._update(self._books.get("price", call.arguments[0]), call)

    def _list_prices(self, call: Call) -> Object:
        call.imitated(
            "active",
            "product",
            "lookup_keys",
            "type",
            "currency",
            "limit",
            "starting_after",
            "ending_before",
            "created",
        )
        equal = self._books.named(call, "active", "product", "type", "currency")
        keys = call.params.get("lookup_keys")
        found = self._books.all("price", **equal)
        return self._books.page(call, (each for each in found if keys is None or each["lookup_key"] in keys))

    def _update(self, what: Object, call: Call) -> Object:
        before = deepcopy(what)
        for name, value in call.params.items():
            if name == "metadata":
                what["metadata"] = merged_metadata(what["metadata"], value)
            elif name != "expand":
                what[name] = value
        self._books.announce(f"{what['object']}.updated", what, before)
        return what


def plan_of(price: Object) -> Object:
    """The older object that still stands beside an item's price."""
    recurring = price["recurring"]
    return shaped(
        "plan",
        id=price["id"],
        active=price["active"],
        amount=price["unit_amount"],
        amount_decimal=price["unit_amount_decimal"],
        billing_scheme="per_unit",
        created=price["created"],
        currency=price["currency"],
        interval=recurring["interval"],
        interval_count=recurring["interval_count"],
        livemode=price["livemode"],
        metadata={},
        product=price["product"],
        usage_type="licensed",
    )


def after_interval(start: int, price: Object) -> int:
    """The end of the period that begins at `start`."""
    recurring = price["recurring"]
    count: int = recurring["interval_count"]
    if recurring["interval"] in {"day", "week"}:
        return start + count * DAY_SECONDS * (7 if recurring["interval"] == "week" else 1)
    return months_after(start, count * (12 if recurring["interval"] == YEARLY else 1))


def months_after(start: int, count: int) -> int:
    """The same day of a later month, or the month's last one."""
    begins = datetime.fromtimestamp(start, UTC)
    months = begins.month - 1 + count
    year, month = begins.year + months // 12, months % 12 + 1
    day = min(begins.day, calendar.monthrange(year, month)[1])
    return int(begins.replace(year=year, month=month, day=day).timestamp())

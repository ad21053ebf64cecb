"""Coupons, and the discounts that they become once a subscription has them (docs.stripe.com/billing/subscriptions/coupons)."""

from collections.abc import Sequence
from typing import Any

from sandbox.stripe_server.books import Books, Call, Handlers
from sandbox.stripe_server.products.catalogue import months_after
from sandbox.stripe_server.protocol.refusals import NoSuchObject, WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object, part

KEPT = ("id", "name", "percent_off", "amount_off", "currency", "duration", "duration_in_months", "metadata")


class Coupons:
    def __init__(self, books: Books) -> None:
        self._books = books

    def handlers(self) -> Handlers:
        one = "/v1/coupons/{coupon}"
        return {
            ("post", "/v1/coupons"): self._create,
            ("get", one): lambda call: self.existing(call.arguments[0], "coupon"),
            ("delete", one): self._delete,
            ("get", "/v1/coupons"): self._list,
        }

    def add(
        self,
        *,
        percent_off: float | None = None,
        amount_off: int | None = None,
        currency: str | None = None,
        duration: str = "once",
        duration_in_months: int | None = None,
        **values: Any,
    ) -> Object:
        """`amount_off` is in the currency's smallest unit. Raises WrongParameter."""
        if (percent_off is None) == (amount_off is None):
            raise WrongParameter("You must pass exactly one of percent_off, amount_off.", param="percent_off")
        if percent_off is not None and not 0 < percent_off <= 100:
            raise WrongParameter("Invalid percent_off: must be above 0 and at most 100.", param="percent_off")
        if amount_off is not None and currency is None:
            raise WrongParameter("You must pass currency when passing amount_off.", param="currency")
        if (duration == "repeating") != (duration_in_months is not None):
            raise WrongParameter(
                "duration_in_months is needed for, and only for, a repeating coupon.", param="duration_in_months"
            )
        return self._books.keep(
            "coupon",
            "co",
            **{"metadata": {}, **values},
            percent_off=percent_off,
            amount_off=amount_off,
            currency=currency,
            duration=duration,
            duration_in_months=duration_in_months,
            times_redeemed=0,
            valid=True,
        )

    def existing(self, coupon_id: str, param: str) -> Object:
        """Raises NoSuchObject also when it was deleted: whoever has its discount keeps it."""
        coupon = self._books.get("coupon", coupon_id, param)
        if coupon.get("deleted"):
            raise NoSuchObject("coupon", coupon_id, param)
        return coupon

    def asked_for(self, discounts: Sequence[Any]) -> list[Object]:
        """The coupons of a request's `discounts`. Raises NoSuchObject and WrongParameter."""
        for number, each in enumerate(discounts):
            if each.keys() != {"coupon"}:
                raise WrongParameter("This stand-in imitates discounts by coupon only.", param=f"discounts[{number}]")
        return [self.existing(each["coupon"], f"discounts[{number}][coupon]") for number, each in enumerate(discounts)]

    def redeem(self, subscription: Object, coupons: Sequence[Object]) -> None:
        """In place of the discounts that the subscription had."""
        for coupon in coupons:
            if coupon["currency"] not in {None, subscription["currency"]}:
                raise WrongParameter(f"The coupon {coupon['id']} is in another currency.", param="discounts[0][coupon]")
        self.remove_all(subscription)
        start, months = self._books.now(), [coupon["duration_in_months"] for coupon in coupons]
        for coupon, lasts in zip(coupons, months, strict=True):
            discount = self._books.keep(
                "discount",
                "di",
                customer=subscription["customer"],
                end=None if lasts is None else months_after(start, lasts),
                source=part("discount", "Source", type="coupon", coupon=coupon["id"]),
                start=start,
                subscription=subscription["id"],
            )
            coupon["times_redeemed"] += 1
            subscription["discounts"].append(discount["id"])
            self._books.announce("customer.discount.created", discount)

    def remove_all(self, subscription: Object) -> None:
        for discount_id in subscription["discounts"]:
            self._books.announce("customer.discount.deleted", self._books.get("discount", discount_id))
        subscription["discounts"] = []

    def take_off(self, subscription: Object, amount: int) -> list[Object]:
        """What each discount takes off an invoice of this amount. One that was for once is used up by it."""
        taken: list[Object] = []
        for discount_id in list(subscription["discounts"]):
            discount = self._books.get("discount", discount_id)
            coupon = self._books.get("coupon", discount["source"]["coupon"])
            over = discount["end"] is not None and discount["end"] <= self._books.now()
            if not over:
                off = round(amount * coupon["percent_off"] / 100) if coupon["percent_off"] else coupon["amount_off"]
                taken.append({"amount": min(amount, off), "discount": discount_id})
                amount -= taken[-1]["amount"]
            if over or coupon["duration"] == "once":
                subscription["discounts"].remove(discount_id)
                self._books.announce("customer.discount.deleted", discount)
        return taken

    def _create(self, call: Call) -> Object:
        call.imitated(*KEPT)
        return self.add(**{name: call.params[name] for name in KEPT if name in call.params})

    def _delete(self, call: Call) -> Object:
        coupon = self.existing(call.arguments[0], "coupon")
        coupon["deleted"] = True
        return {"id": coupon["id"], "object": "coupon", "deleted": True}

    def _list(self, call: Call) -> Object:
        call.imitated("limit", "starting_after", "ending_before", "created")
        return self._books.page(call, (each for each in self._books.all("coupon") if not each.get("deleted")))

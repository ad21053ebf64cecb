"""Customers."""

from copy import deepcopy
from typing import Any

from sandbox.stripe_server.books import Books, Call, Handlers, Listener, merged_metadata
from sandbox.stripe_server.refusals import NoSuchObject
from sandbox.stripe_server.response_shapes import Object

KEPT = ("email", "name", "description", "metadata", "phone")


class Customers:
    def __init__(self, books: Books) -> None:
        self._books = books
        self.when_deleted: list[Listener] = []

    def handlers(self) -> Handlers:
        return {
            ("post", "/v1/customers"): self._create,
            ("get", "/v1/customers/{customer}"): lambda call: self._books.get("customer", call.arguments[0]),
            ("post", "/v1/customers/{customer}"): self._update,
            ("delete", "/v1/customers/{customer}"): self._delete,
            ("get", "/v1/customers"): self._list,
        }

    def existing(self, customer_id: str) -> Object:
        """Raises NoSuchObject also when it was deleted."""
        customer = self._books.get("customer", customer_id, "customer")
        if customer.get("deleted"):
            raise NoSuchObject("customer", customer_id, "customer")
        return customer

    def add(self, **values: Any) -> Object:
        values.setdefault("metadata", {})
        customer = self._books.keep(
            "customer",
            "cus",
            **values,
            balance=0,
            delinquent=False,
            invoice_settings={
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            next_invoice_sequence=1,
            preferred_locales=[],
            tax_exempt="none",
        )
        self._books.announce("customer.created", customer)
        return customer

    def _create(self, call: Call) -> Object:
        call.imitated(*KEPT)
        return self.add(**{name: call.params[name] for name in KEPT if name in call.params})

    def _update(self, call: Call) -> Object:
        call.imitated(*KEPT)
        customer = self.existing(call.arguments[0])
        before = deepcopy(customer)
        for name in call.params.keys() - {"expand", "metadata"}:
            customer[name] = call.params[name]
        customer["metadata"] = merged_metadata(customer["metadata"], call.params.get("metadata"))
        self._books.announce("customer.updated", customer, before)
        return customer

    def _delete(self, call: Call) -> Object:
        """Also ends all subscriptions at once."""
        customer = self.existing(call.arguments[0])
        for listener in self.when_deleted:
            listener(customer)
        self._books.announce("customer.deleted", customer)
        customer["deleted"] = True
        return {"id": customer["id"], "object": "customer", "deleted": True}

    def _list(self, call: Call) -> Object:
        call.imitated("email", "limit", "starting_after", "ending_before", "created")
        equal = {name: call.params[name] for name in ("email",) if name in call.params}
        found = self._books.all("customer", **equal)
        return self._books.page(call, (each for each in found if not each.get("deleted")))

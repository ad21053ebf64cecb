"""Customers."""

from copy import deepcopy
from typing import Any

from sandbox.stripe_server.books import Books, Call, Handlers, Listener, merged_metadata
from sandbox.stripe_server.protocol.refusals import NoSuchObject, WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object

KEPT = ("email", "name", "description", "metadata", "phone")


class Customers:
    def __init__(self, books: Books) -> None:
        self._books = books
        self.when_deleted: list[Listener] = []
        self.refused_emails: set[str] = set()
        """Addresses that Stripe finds invalid. It does not say by which rule."""

    def handlers(self) -> Handlers:
        return {
            ("post", "/v1/customers"): self._create,
            ("get", "/v1/customers/{customer}"): lambda call: self._books.get("customer", call.arguments[0]),
            ("post", "/v1/customers/{customer}"): self._update,
            ("delete", "/v1/customers/{customer}"): self._delete,
            ("get", "/v1/customers"): self._list,
            ("post", "/v1/customers/{customer}/balance_transactions"): self._change_balance,
            ("get", "/v1/customers/{customer}/balance_transactions"): self._list_balance_transactions,
        }

    def existing(self, customer_id: str) -> Object:
        """Raises NoSuchObject also when it was deleted."""
        customer = self._books.get("customer", customer_id, "customer")
        if customer.get("deleted"):
            raise NoSuchObject("customer", customer_id, "customer")
        return customer

    def check_email(self, email: str | None, param: str = "email") -> None:
        """Raises WrongParameter as Stripe does (docs.stripe.com/error-codes#email-invalid)."""
        if email in self.refused_emails:
            raise WrongParameter(f"Invalid email address: {email}", param=param, code="email_invalid")

    def add_to_balance(
        self, customer: Object, amount: int, kind: str = "adjustment", invoice: str | None = None
    ) -> Object:
        """A negative balance is the customer's credit: it lowers the next invoice (docs.stripe.com/billing/customer/balance)."""
        before = deepcopy(customer)
        customer["balance"] += amount
        transaction = self._books.keep(
            "customer_balance_transaction",
            "cbtxn",
            amount=amount,
            currency=customer["currency"] or "usd",
            customer=customer["id"],
            ending_balance=customer["balance"],
            invoice=invoice,
            metadata={},
            type=kind,
        )
        self._books.announce("customer.updated", customer, before)
        return transaction

    def delete(self, customer: Object) -> None:
        """Also ends all subscriptions at once."""
        for listener in self.when_deleted:
            listener(customer)
        self._books.announce("customer.deleted", customer)
        customer["deleted"] = True

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
        self.check_email(call.params.get("email"))
        return self.add(**{name: call.params[name] for name in KEPT if name in call.params})

    def _update(self, call: Call) -> Object:
        call.imitated(*KEPT)
        self.check_email(call.params.get("email"))
        customer = self.existing(call.arguments[0])
        before = deepcopy(customer)
        for name in call.params.keys() - {"expand", "metadata"}:
            customer[name] = call.params[name]
        customer["metadata"] = merged_metadata(customer["metadata"], call.params.get("metadata"))
        self._books.announce("customer.updated", customer, before)
        return customer

    def _delete(self, call: Call) -> Object:
        customer = self.existing(call.arguments[0])
        self.delete(customer)
        return {"id": customer["id"], "object": "customer", "deleted": True}

    def _change_balance(self, call: Call) -> Object:
        call.imitated("amount", "currency")
        return self.add_to_balance(self.existing(call.arguments[0]), call.params["amount"])

    def _list_balance_transactions(self, call: Call) -> Object:
        call.imitated("limit", "starting_after", "ending_before", "created")
        customer = self._books.get("customer", call.arguments[0])
        return self._books.page(call, self._books.all("customer_balance_transaction", customer=customer["id"]))

    def _list(self, call: Call) -> Object:
        call.imitated("email", "limit", "starting_after", "ending_before", "created")
        equal = self._books.named(call, "email")
        found = self._books.all("customer", **equal)
        return self._books.page(call, (each for each in found if not each.get("deleted")))

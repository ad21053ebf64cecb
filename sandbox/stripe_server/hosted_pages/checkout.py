"""Checkout sessions, for subscriptions and for single payments, and what the customer does on their page."""

from collections.abc import Callable
from typing import Any

from sandbox.stripe_server.billing.invoices import Invoices
from sandbox.stripe_server.billing.subscriptions import Subscriptions
from sandbox.stripe_server.books import Books, Call, Card, Handlers
from sandbox.stripe_server.payments.charging import Charging
from sandbox.stripe_server.payments.customers import Customers
from sandbox.stripe_server.payments.payment_intents import check_amount
from sandbox.stripe_server.products.catalogue import Catalogue
from sandbox.stripe_server.products.coupons import Coupons
from sandbox.stripe_server.protocol.refusals import NotImitated, WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object, part

OF_OTHER_MODE = {"payment": "subscription_data", "subscription": "payment_intent_data"}
SHORTEST, LONGEST = 30 * 60, 24 * 60 * 60
EXPIRY_TOLERANCE_SECONDS = 30


class SessionNotOpen(Exception):
    """It was paid before, or it has expired."""


class Checkout:
    def __init__(
        self,
        *,
        books: Books,
        catalogue: Catalogue,
        customers: Customers,
        subscriptions: Subscriptions,
        invoices: Invoices,
        coupons: Coupons,
        charging: Charging,
        base_url: Callable[[], str],
    ) -> None:
        self._books = books
        self._catalogue = catalogue
        self._customers = customers
        self._subscriptions = subscriptions
        self._invoices = invoices
        self._coupons = coupons
        self._charging = charging
        self._base_url = base_url
        books.includers["checkout.session", "line_items"] = self._line_items

    def handlers(self) -> Handlers:
        one = "/v1/checkout/sessions/{session}"
        return {
            ("post", "/v1/checkout/sessions"): self._create,
            ("get", one): lambda call: self._books.get("checkout.session", call.arguments[0]),
            ("post", one + "/expire"): self._expire,
            ("get", one + "/line_items"): self._line_items,
            ("get", "/v1/checkout/sessions"): self._list,
        }

    def open_session(self, session_id: str) -> Object:
        """Raises SessionNotOpen, or NoSuchObject."""
        session = self._books.get("checkout.session", session_id)
        if session["status"] != "open":
            raise SessionNotOpen
        return session

    def price_of(self, session: Object) -> Object:
        return self._books.get("price", self._books.wanted[session["id"]]["price"])

    def trial_days(self, session: Object) -> int | None:
        days: int | None = self._books.wanted[session["id"]]["trial_days"]
        return days

    def pay(self, session: Object, card: Card) -> bool:
        """The customer presses the button. A declined card leaves the session open: they may try another."""
        if session["mode"] == "payment":
            return self._pay_once(session, card)
        if card in {Card.DECLINED, Card.EXPIRED, Card.NEEDS_AUTHENTICATION}:
            return False
        if session["customer"] is None:
            session["customer"] = self._customers.add(email=session["customer_email"] or "guest@example.com")["id"]
        self._begin(session, card)
        return True

    def _pay_once(self, session: Object, card: Card) -> bool:
        """The intent is made when a card is first tried (docs.stripe.com/upgrades#2022-08-01)."""
        wanted = self._books.wanted[session["id"]]
        if session["payment_intent"] is None:
            intent = self._charging.open_intent(
                session["amount_total"], session["currency"], session["customer"], dict(wanted["metadata"])
            )
            session["payment_intent"] = intent["id"]
        intent = self._books.get("payment_intent", session["payment_intent"])
        intent.update(payment_method="pm_of_checkout", status="requires_confirmation")
        if not self._charging.try_card(intent, card) and intent["status"] != "processing":
            return False
        paid = intent["status"] == "succeeded"
        session.update(status="complete", url=None, payment_status="paid" if paid else "unpaid")
        self._books.announce("checkout.session.completed", session)
        return True

    def begin_trial_without_card(self, session: Object) -> bool:
        wanted = self._books.wanted[session["id"]]
        if not wanted["trial_days"] or session["payment_method_collection"] != "if_required":
            return False
        self._begin(session, None)
        return True

    def _begin(self, session: Object, card: Card | None) -> None:
        wanted = self._books.wanted[session["id"]]
        subscription = self._subscriptions.begin(
            session["customer"],
            self.price_of(session),
            card=card,
            metadata=dict(wanted["metadata"]),
            trial_days=wanted["trial_days"],
            trial_settings=wanted["trial_settings"],
            quantity=wanted["quantity"],
            coupons=[self._books.get("coupon", coupon) for coupon in wanted["coupons"]],
        )
        self._complete(session, subscription)

    def settle(self, session: Object, *, succeeded: bool) -> None:
        """The bank debit of a completed session came in, or did not."""
        invoice = self._books.get("invoice", session["invoice"])
        self._invoices.settle(invoice, succeeded=succeeded)
        if succeeded:
            session["payment_status"] = "paid"
        else:
            subscription = self._books.get("subscription", session["subscription"])
            self._subscriptions.change(subscription, status="incomplete_expired", ended_at=self._books.now())
        outcome = "succeeded" if succeeded else "failed"
        self._books.announce(f"checkout.session.async_payment_{outcome}", session)

    def expire(self, session: Object) -> None:
        session.update(status="expired", url=None)
        self._books.announce("checkout.session.expired", session)

    def _complete(self, session: Object, subscription: Object) -> None:
        paid = subscription["status"] in {"active", "trialing"}
        free_of_charge = subscription["status"] == "trialing"
        session.update(
            status="complete",
            url=None,
            subscription=subscription["id"],
            invoice=subscription["latest_invoice"],
            payment_status="no_payment_required" if free_of_charge else "paid" if paid else "unpaid",
        )
        self._books.announce("checkout.session.completed", session)

    def _create(self, call: Call) -> Object:
        call.imitated(
            "mode",
            "ui_mode",
            "line_items",
            "customer",
            "customer_email",
            "client_reference_id",
            "metadata",
            "subscription_data",
            "payment_intent_data",
            "allowed_payment_method_types",
            "success_url",
            "cancel_url",
            "expires_at",
            "allow_promotion_codes",
            "discounts",
            "payment_method_collection",
            "billing_address_collection",
            "locale",
            "automatic_tax",
            "customer_update",
            "tax_id_collection",
        )
        params = call.params
        self._check(params)
        once = params["mode"] == "payment"
        price = self._price(params["line_items"][0])
        if not once and price["recurring"] is None:
            raise WrongParameter(
                "You must provide at least one recurring price in `subscription` mode.", param="line_items"
            )
        now = self._books.now()
        data = params.get("payment_intent_data" if once else "subscription_data", {})
        expires_at = params.get("expires_at", now + LONGEST)
        if not now + SHORTEST - EXPIRY_TOLERANCE_SECONDS <= expires_at <= now + LONGEST + EXPIRY_TOLERANCE_SECONDS:
            raise WrongParameter(
                "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
                param="expires_at",
            )
        customer = self._customers.existing(params["customer"])["id"] if "customer" in params else None
        if customer is not None:
            self._keep_to_one_currency(self._books.get("customer", customer), price)
        quantity = params["line_items"][0].get("quantity", 1)
        coupons = self._coupons.asked_for(params.get("discounts", ()))
        amount = 0 if data.get("trial_period_days") else price["unit_amount"] * quantity
        session_id = self._books.new_id("cs_live" if self._books.livemode else "cs_test")
        self._books.wanted[session_id] = {
            "price": price["id"],
            "quantity": quantity,
            "coupons": [coupon["id"] for coupon in coupons],
            "metadata": dict(data.get("metadata", {})),
            "trial_days": data.get("trial_period_days"),
            "trial_settings": data.get("trial_settings"),
        }
        return self._books.keep(
            "checkout.session",
            "cs",
            id=session_id,
            amount_subtotal=amount,
            amount_total=amount,
            automatic_tax=part(
                "checkout.session", "AutomaticTax", enabled=params.get("automatic_tax", {}).get("enabled", False)
            ),
            cancel_url=params.get("cancel_url"),
            client_reference_id=params.get("client_reference_id"),
            currency=price["currency"],
            custom_fields=[],
            custom_text=part("checkout.session", "CustomText"),
            customer=customer,
            customer_email=params.get("customer_email"),
            expires_at=expires_at,
            locale=params.get("locale"),
            metadata=dict(params.get("metadata", {})),
            mode=params["mode"],
            payment_method_collection=params.get("payment_method_collection", "always"),
            payment_intent=None,
            allowed_payment_method_types=params.get("allowed_payment_method_types"),
            payment_method_types=["card"],
            payment_status="unpaid",
            shipping_options=[],
            status="open",
            success_url=params["success_url"],
            ui_mode="hosted_page",
            url=f"{self._base_url()}/checkout/{session_id}",
        )

    def _price(self, line: Object) -> Object:
        """One that is named, or one that is made for this session alone and sold to nobody else."""
        if "price" in line:
            return self._catalogue.sold(line["price"], "line_items[0][price]")
        data = line["price_data"]
        if "product_data" not in data or "unit_amount" not in data or "recurring" in data:
            raise NotImitated("post", "/v1/checkout/sessions with this price_data")
        check_amount(data["unit_amount"] * line.get("quantity", 1))
        product = self._catalogue.add_product(None, data["product_data"]["name"], active=False)
        return self._catalogue.add_price(
            product["id"], data["unit_amount"], data["currency"].lower(), None, active=False
        )

    def _keep_to_one_currency(self, customer: Object, price: Object) -> None:
        """Raises WrongParameter. A checkout words it in its own way, also for what the customer had long ago."""
        if customer["currency"] not in {None, price["currency"]}:
            raise WrongParameter(
                "You cannot combine currencies on a single customer. This customer has had a subscription or payment in"
                f" {customer['currency']}, but you are trying to pay in {price['currency']}."
            )

    def _check(self, params: Any) -> None:
        self._customers.check_email(params.get("customer_email"), "customer_email")
        if "discounts" in params and "allow_promotion_codes" in params:
            raise WrongParameter(
                "You may only specify one of these parameters: allow_promotion_codes, discounts.", param="discounts"
            )
        mode = params.get("mode")
        if mode not in OF_OTHER_MODE:
            raise WrongParameter("This stand-in imitates the modes `payment` and `subscription` only.", param="mode")
        if (other := OF_OTHER_MODE[mode]) in params:
            raise WrongParameter(f"You can not pass `{other}` in `{mode}` mode.", param=other)
        if params.get("allowed_payment_method_types", ["card"]) != ["card"]:
            raise WrongParameter("This stand-in imitates cards only.", param="allowed_payment_method_types")
        if params.get("ui_mode", "hosted_page") != "hosted_page":
            raise WrongParameter("This stand-in imitates `hosted_page` only.", param="ui_mode")
        if "success_url" not in params:
            raise WrongParameter("Missing required param: success_url.", param="success_url", code="parameter_missing")
        if "customer" in params and "customer_email" in params:
            raise WrongParameter(
                "You may only specify one of these parameters: customer, customer_email.", param="customer"
            )
        if len(params.get("line_items", ())) != 1 or len(params["line_items"][0].keys() & {"price", "price_data"}) != 1:
            raise WrongParameter("Exactly one line item with a price is needed here.", param="line_items")
        for name in ("success_url", "cancel_url"):
            if not params.get(name, "https://").startswith(("https://", "http://")):
                raise WrongParameter("Not a valid URL", param=name, code="url_invalid")
        if params.get("automatic_tax", {}).get("enabled") and "customer" in params and "customer_update" not in params:
            raise WrongParameter(
                "Automatic tax calculation in Checkout requires a valid address on the Customer.",
                param="customer_update",
            )
        days = params.get("subscription_data", {}).get("trial_period_days")
        if days is not None and not 1 <= days <= 730:
            raise WrongParameter("Invalid trial_period_days", param="subscription_data[trial_period_days]")

    def _expire(self, call: Call) -> Object:
        session = self._books.get("checkout.session", call.arguments[0])
        if session["status"] != "open":
            raise WrongParameter(
                f"Only Checkout Sessions with a status in [\"open\"] can be expired. This one is {session['status']}."
            )
        self.expire(session)
        return session

    def _line_items(self, call: Call) -> Object:
        session = self._books.get("checkout.session", call.arguments[0])
        price = self.price_of(session)
        line = {
            "id": f"li_{session['id'][8:]}",
            "object": "item",
            "amount_discount": 0,
            "amount_subtotal": price["unit_amount"] * self._books.wanted[session["id"]]["quantity"],
            "amount_tax": 0,
            "amount_total": price["unit_amount"] * self._books.wanted[session["id"]]["quantity"],
            "currency": price["currency"],
            "price": price,
            "quantity": self._books.wanted[session["id"]]["quantity"],
        }
        return self._books.page(call, [line])

    def _list(self, call: Call) -> Object:
        names = ("customer", "subscription", "status", "payment_intent")
        call.imitated(*names, "limit", "starting_after", "ending_before", "created")
        equal = self._books.named(call, *names)
        return self._books.page(call, self._books.all("checkout.session", **equal))

"""The customer's own page for a running subscription, and what they do there. Cancelling is in flexible style."""

from collections.abc import Callable

from sandbox.stripe_server.billing.subscriptions import ENDED, Subscriptions
from sandbox.stripe_server.books import Books, Call, Card, Handlers
from sandbox.stripe_server.payments.customers import Customers
from sandbox.stripe_server.protocol.refusals import NoSuchObject, WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object, part

LIVES_SECONDS = 5 * 60


class BillingPortal:
    def __init__(
        self, books: Books, customers: Customers, subscriptions: Subscriptions, base_url: Callable[[], str]
    ) -> None:
        self.configured = True
        """Whether somebody saved the portal's settings in the dashboard, without which no session can be made."""
        self._books = books
        self._customers = customers
        self._subscriptions = subscriptions
        self._base_url = base_url

    def handlers(self) -> Handlers:
        return {("post", "/v1/billing_portal/sessions"): self._create}

    def open_session(self, session_id: str) -> Object | None:
        """None when its few minutes are over."""
        session = self._books.get("billing_portal.session", session_id)
        return session if session["created"] + LIVES_SECONDS > self._books.now() else None

    def running(self, session: Object) -> list[Object]:
        found = self._books.all("subscription", customer=session["customer"])
        return [each for each in found if each["status"] not in ENDED]

    def offers(self) -> list[Object]:
        return [price for price in self._books.all("price", active=True) if price["recurring"]]

    def act(self, session: Object, action: str, subscription_id: str, price_id: str | None) -> None:
        """Raises NoSuchObject for what is not this customer's."""
        if action in set(Card):
            self._books.put_on_file(session["customer"], Card(action))
            return
        subscription = self._subscriptions.running(subscription_id)
        if subscription["customer"] != session["customer"]:
            raise NoSuchObject("subscription", subscription_id)
        if action == "cancel":
            self._subscriptions.cancel_later(subscription, flexible=True)
        elif action == "resume":
            self._subscriptions.keep_going(subscription)
        elif action == "switch" and price_id:
            self._subscriptions.switch(subscription, self._books.get("price", price_id))

    def _create(self, call: Call) -> Object:
        call.imitated("customer", "return_url", "flow_data", "locale")
        if not self.configured:
            raise WrongParameter(
                "No configuration provided and your live mode default configuration has not been created. Provide a"
                " configuration or create your default by saving your customer portal settings in live mode."
            )
        if "customer" not in call.params:
            raise WrongParameter("Missing required param: customer.", param="customer", code="parameter_missing")
        session_id = self._books.new_id("bps")
        flow = call.params.get("flow_data")
        return self._books.keep(
            "billing_portal.session",
            "bps",
            id=session_id,
            configuration="bpc_default",
            customer=self._customers.existing(call.params["customer"])["id"],
            flow=(
                part("billing_portal.session", "Flow", type=flow["type"], after_completion={"type": "portal_homepage"})
                if flow
                else None
            ),
            return_url=call.params.get("return_url"),
            url=f"{self._base_url()}/portal/{session_id}",
        )

"""What a customer does in a browser: `/checkout/<session>` and `/portal/<session>`."""

from urllib.parse import parse_qs

from sandbox.http_listener import Reply, Request
from sandbox.stripe_server.books import Books, Card
from sandbox.stripe_server.hosted_pages import pages
from sandbox.stripe_server.hosted_pages.billing_portal import BillingPortal
from sandbox.stripe_server.hosted_pages.checkout import Checkout, SessionNotOpen
from sandbox.stripe_server.protocol.refusals import Refused, UnknownPath
from sandbox.stripe_server.protocol.response_shapes import Object


class CustomerPages:
    def __init__(self, books: Books, checkout: Checkout, portal: BillingPortal) -> None:
        self._books = books
        self._checkout = checkout
        self._portal = portal

    def answer(self, request: Request) -> Reply:
        _, kind, session_id = request.path.split("/", 2)
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        try:
            with self._books.lock:
                if kind == "checkout":
                    return self._checkout_page(session_id, request.method, form)
                return self._portal_page(session_id, request.method, form)
        except SessionNotOpen:
            return pages.closed_page("This page has done its work", "It was paid before, or it has expired.")
        except Refused as refused:
            return pages.closed_page("This does not work", refused.message)

    def _checkout_page(self, session_id: str, method: str, form: dict[str, str]) -> Reply:
        session = self._checkout.open_session(session_id)
        action = form.get("action", "") if method == "POST" else ""
        if action == "cancel" and session["cancel_url"]:
            return pages.redirect(session["cancel_url"])
        if action == Card.NEEDS_AUTHENTICATION:
            return pages.authentication_page()
        if action == "no_card" and self._checkout.begin_trial_without_card(session):
            return self._thanks(session)
        card = Card.GOOD if action == "authenticated" else Card(action) if action in set(Card) else None
        if card is not None and self._checkout.pay(session, card):
            return self._thanks(session)
        price = self._checkout.price_of(session)
        product = self._books.get("product", price["product"])
        problem = {
            "declined": "Your card was declined. Try another one.",
            "expired": "Your card has expired. Try another one.",
            "not_authenticated": "Your bank did not confirm the payment. Try again or use another card.",
        }.get(action, "")
        return pages.checkout_page(session, product, price, self._checkout.trial_days(session), problem)

    def _thanks(self, session: Object) -> Reply:
        return pages.redirect(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]))

    def _portal_page(self, session_id: str, method: str, form: dict[str, str]) -> Reply:
        session = self._portal.open_session(session_id)
        if session is None:
            raise UnknownPath(method, f"/portal/{session_id}")
        if method == "POST":
            self._portal.act(session, form.get("action", ""), form.get("subscription", ""), form.get("price"))
            return pages.redirect(f"/portal/{session_id}")
        prices = [(price, self._books.get("product", price["product"])) for price in self._portal.offers()]
        card = self._books.cards.get(session["customer"])
        return pages.portal_page(session, self._portal.running(session), prices, card)

"""POST /controls/<action>: for a person or another process, what a test does by calling the store's methods.

A customer's actions answer with what their device would then hold: the signed transaction and the legacy receipt.
docs/payments.md lists the actions.
"""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sandbox.apple_server.app_store import AlreadySubscribed, NoSuchTransaction, NotForSale, NotPossible
from sandbox.apple_server.signed_payloads import Payload
from sandbox.apple_server.subscriptions import Subscription
from sandbox.http_listener import Reply, Request

if TYPE_CHECKING:
    from sandbox.apple_server.server import AppleHost, AppleServer

Fields = Mapping[str, Any]
Answer = Subscription | dict[str, object] | None
"""A subscription is described, nothing becomes the time."""


class StoreControls:
    def __init__(self, server: "AppleServer", host: "AppleHost") -> None:
        self._server = server
        self._host = host
        self._store = host.store
        self._actions: dict[str, Callable[[Fields], Answer]] = {
            "subscribe": self._subscribe,
            "change-product": self._change_product,
            "set-auto-renew": self._set_auto_renew,
            "break-card": self._break_card,
            "repair-card": self._repair_card,
            "refund": self._refund,
            "reverse-refund": self._reverse_refund,
            "share-with-family": self._share_with_family,
            "stop-sharing": self._stop_sharing,
            "show": self._show,
            "advance": self._advance,
            "ask-to-buy": self._ask_to_buy,
            "answer-request": self._answer_request,
            "raise-price": self._raise_price,
            "agree-to-price": lambda fields: self._store.agree_to_price(fields["original_transaction_id"]),
            "extend": lambda fields: self._store.extend(fields["original_transaction_id"], int(fields["days"])),
            "set-account-token": self._set_account_token,
            "set-grace-period": self._set_grace_period,
            "notify": self._notify,
            "forge": self._forge,
            "fault": self._fault,
            "drop-notifications": self._drop_notifications,
            "set-copies": self._set_copies,
            "resend": lambda fields: {"result": self._host.notifications.resend(fields["notification"]).result},
        }

    def answer(self, request: Request) -> Reply:
        action = self._actions.get(request.path.removeprefix("/controls/"))
        if action is None or request.method != "POST":
            return Reply(404, {"error": "no such control", "controls": sorted(self._actions)})
        try:
            self._server.advance()
            done = action(json.loads(request.body or b"{}"))
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as wrong:
            return Reply(400, {"error": f"missing or malformed: {wrong}"})
        except (AlreadySubscribed, NoSuchTransaction, NotForSale, NotPossible) as refused:
            return Reply(409, {"error": type(refused).__name__, "message": str(refused)})
        if isinstance(done, Subscription):
            return Reply(200, self._describe(done))
        return Reply(200, done or {"now": self._server.clock().isoformat()})

    def _describe(self, subscription: Subscription) -> dict[str, object]:
        return {
            "original_transaction_id": subscription.original_transaction_id,
            "transaction_id": subscription.latest.transaction_id,
            "product_id": subscription.latest.product.product_id,
            "status": subscription.status().name.lower(),
            "expires_at": subscription.latest.expires_at.isoformat(),
            "signed_transaction": self._host.signed_transaction(subscription.latest),
            "receipt": self._host.receipt_for(subscription.customer),
        }

    def _subscribe(self, fields: Fields) -> Subscription:
        token = fields.get("account_token")
        return self._store.subscribe(fields["customer"], fields["product_id"], UUID(token) if token else None)

    def _change_product(self, fields: Fields) -> Subscription:
        return self._store.change_product(fields["original_transaction_id"], fields["product_id"])

    def _set_auto_renew(self, fields: Fields) -> Subscription:
        return self._store.set_auto_renew(fields["original_transaction_id"], fields["renews"] is True)

    def _break_card(self, fields: Fields) -> Subscription:
        self._store.break_card(fields["original_transaction_id"])
        return self._show(fields)

    def _repair_card(self, fields: Fields) -> Subscription:
        self._store.repair_card(fields["original_transaction_id"])
        return self._show(fields)

    def _refund(self, fields: Fields) -> Subscription:
        """`percentage` is in milliunits: 25000 is a quarter."""
        percentage = fields.get("percentage")
        return self._store.subscription_of(self._store.refund(fields["transaction_id"], percentage=percentage))

    def _reverse_refund(self, fields: Fields) -> Subscription:
        return self._store.subscription_of(self._store.reverse_refund(fields["transaction_id"]))

    def _share_with_family(self, fields: Fields) -> Subscription:
        return self._store.share_with_family(fields["original_transaction_id"], fields["member"])

    def _stop_sharing(self, fields: Fields) -> Subscription:
        self._store.stop_sharing(fields["original_transaction_id"])
        return self._show(fields)

    def _show(self, fields: Fields) -> Subscription:
        return self._store.subscription(fields["original_transaction_id"])

    def _advance(self, fields: Fields) -> None:
        self._server.advance(timedelta(days=float(fields.get("days", 0)), hours=float(fields.get("hours", 0))))

    def _ask_to_buy(self, fields: Fields) -> Answer:
        token = fields.get("account_token")
        request = self._store.ask_to_buy(fields["customer"], fields["product_id"], UUID(token) if token else None)
        return {"request": request.request_id}

    def _answer_request(self, fields: Fields) -> Answer:
        return self._store.answer_request(fields["request"], approved=fields["approved"] is True)

    def _raise_price(self, fields: Fields) -> Answer:
        asked = self._store.raise_price(fields["product_id"], int(fields["price"]))
        return {"asked": [subscription.original_transaction_id for subscription in asked]}

    def _set_account_token(self, fields: Fields) -> Answer:
        self._store.set_account_token(fields["original_transaction_id"], UUID(fields["account_token"]))
        return self._show(fields)

    def _set_grace_period(self, fields: Fields) -> Answer:
        """0 switches it off."""
        days = float(fields["days"])
        self._store.grace_period = timedelta(days=days) if days else None
        return {"days": days}

    def _notify(self, fields: Fields) -> Answer:
        """Any type and subtype, also one that nobody knows yet."""
        subscription = self._show(fields)
        news = self._store.announce(subscription, fields["type"], fields.get("subtype"))
        return {"notification": news.uuid, "signed_payload": news.signed_payload}

    def _forge(self, fields: Fields) -> Answer:
        """What somebody without Apple's key could make of a transaction, or of a notification about it."""
        transaction = self._store.transaction(fields["transaction_id"])
        payload: Payload = self._store.signer.transaction_payload(transaction)
        if "type" in fields:
            subscription = self._store.subscription_of(transaction)
            payload = self._store.signer.notification_payload(
                fields["type"], fields.get("subtype"), subscription=subscription, transaction=transaction
            )
        return {"signed": self._server.forger.one(fields["forgery"], payload)}

    def _fault(self, fields: Fields) -> Answer:
        """`trouble`: receipt-status, receipt-http-status, api-error, api-sign-in, hang-up, stall, none."""
        faults, times, value = self._host.faults, int(fields.get("times", 1)), fields.get("value")
        troubles: dict[str, Callable[[], None]] = {
            "receipt-status": lambda: faults.answer_receipts_with(
                number(value), times=times, retryable=fields.get("retryable")
            ),
            "receipt-http-status": lambda: faults.fail_receipts(number(value), times=times),
            "api-error": lambda: faults.fail_api(number(value), times=times),
            "api-sign-in": lambda: faults.refuse_api_sign_in(times=times),
            "hang-up": lambda: faults.hang_up(times=times),
            "stall": lambda: faults.stall(number(value), times=times),
            "none": faults.clear,
        }
        troubles[fields["trouble"]]()
        return {"trouble": fields["trouble"]}

    def _drop_notifications(self, fields: Fields) -> Answer:
        self._host.notifications.drop_next(int(fields.get("count", 1)))
        return {"dropped": int(fields.get("count", 1))}

    def _set_copies(self, fields: Fields) -> Answer:
        self._host.notifications.copies = int(fields["copies"])
        return {"copies": self._host.notifications.copies}


def number(value: object) -> int:
    """Raises TypeError when a trouble that needs a value has none."""
    if not isinstance(value, int):
        raise TypeError("`value` must be a whole number")
    return value

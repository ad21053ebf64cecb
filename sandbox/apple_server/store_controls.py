"""POST /controls/<action>: for a person or another process, what a test does by calling the store's methods.

A customer's actions answer with what their device would then hold: the signed transaction and the legacy receipt.
"""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sandbox.apple_server.app_store import AlreadySubscribed, NoSuchTransaction, NotForSale, NotPossible
from sandbox.apple_server.subscriptions import Subscription
from sandbox.http_listener import Reply, Request

if TYPE_CHECKING:
    from sandbox.apple_server.server import AppleHost, AppleServer

Fields = Mapping[str, Any]


class StoreControls:
    def __init__(self, server: "AppleServer", host: "AppleHost") -> None:
        self._server = server
        self._host = host
        self._store = host.store
        self._actions: dict[str, Callable[[Fields], Subscription | None]] = {
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
        }

    def answer(self, request: Request) -> Reply:
        action = self._actions.get(request.path.removeprefix("/controls/"))
        if action is None or request.method != "POST":
            return Reply(404, {"error": "no such control", "controls": sorted(self._actions)})
        try:
            self._server.advance()
            subscription = action(json.loads(request.body or b"{}"))
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            return Reply(400, {"error": f"missing or malformed: {wrong}"})
        except (AlreadySubscribed, NoSuchTransaction, NotForSale, NotPossible) as refused:
            return Reply(409, {"error": type(refused).__name__, "message": str(refused)})
        return Reply(200, self._describe(subscription) if subscription else {"now": self._server.clock().isoformat()})

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
        return self._store.subscription_of(self._store.refund(fields["transaction_id"]))

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

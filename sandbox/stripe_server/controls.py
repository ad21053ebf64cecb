"""POST /controls/<action>: for a person or another process, what a test does by calling the stand-in's methods."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandbox.http_listener import Reply, Request
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.faults import Trouble
from sandbox.stripe_server.refusals import Refused
from sandbox.stripe_server.response_shapes import Object

if TYPE_CHECKING:
    from sandbox.stripe_server.server import StripeServer

Fields = Mapping[str, Any]


class Controls:
    def __init__(self, server: "StripeServer") -> None:
        self._server = server
        self._actions: dict[str, Callable[[Fields], Object]] = {
            "advance": self._advance,
            "set-card": self._set_card,
            "settle-checkout": self._settle_checkout,
            "authenticate-payment": self._authenticate,
            "refund": lambda fields: server.refunds.refund(
                server.books.get("charge", fields["charge"]), fields.get("amount")
            ),
            "dispute": lambda fields: server.refunds.dispute(
                server.books.get("charge", fields["charge"]), inquiry=fields.get("inquiry") is True
            ),
            "close-dispute": self._close_dispute,
            "fault": self._fault,
            "drop-events": self._drop,
            "resend": lambda fields: {"status": server.outbox.resend(fields["event"])},
        }

    def answer(self, request: Request) -> Reply:
        action = self._actions.get(request.path.removeprefix("/controls/"))
        if action is None or request.method != "POST":
            return Reply(404, {"error": "no such control", "controls": sorted(self._actions)})
        try:
            with self._server.books.lock:
                return Reply(200, action(json.loads(request.body or b"{}")))
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as wrong:
            return Reply(400, {"error": f"missing or malformed: {wrong}"})
        except Refused as refused:
            return Reply(409, {"error": type(refused).__name__, "message": refused.message})

    def _advance(self, fields: Fields) -> Object:
        self._server.advance(timedelta(days=float(fields.get("days", 0)), hours=float(fields.get("hours", 0))))
        return {"now": self._server.clock().isoformat()}

    def _set_card(self, fields: Fields) -> Object:
        customer = self._server.books.get("customer", fields["customer"])
        self._server.books.cards[customer["id"]] = Card(fields["card"])
        return {"customer": customer["id"], "card": fields["card"]}

    def _settle_checkout(self, fields: Fields) -> Object:
        session = self._server.books.get("checkout.session", fields["session"])
        self._server.checkout.settle(session, succeeded=fields.get("succeeded") is True)
        return session

    def _authenticate(self, fields: Fields) -> Object:
        intent = self._server.books.get("payment_intent", fields["payment_intent"])
        self._server.payment_intents.authenticate(intent, passed=fields.get("passed") is True)
        return intent

    def _close_dispute(self, fields: Fields) -> Object:
        dispute = self._server.books.get("dispute", fields["dispute"])
        self._server.refunds.close(dispute, fields["status"])
        return dispute

    def _fault(self, fields: Fields) -> Object:
        self._server.faults.add(
            Trouble(fields["trouble"]), times=int(fields.get("times", 1)), under=fields.get("under", "/v1/")
        )
        return {"trouble": fields["trouble"]}

    def _drop(self, fields: Fields) -> Object:
        self._server.outbox.drop_next(int(fields.get("count", 1)))
        return {"dropped": int(fields.get("count", 1))}

"""Moving money that does not exist: payment intents and charges against a customer's card."""

from copy import deepcopy
from dataclasses import dataclass

from sandbox.stripe_server.books import Books, Card
from sandbox.stripe_server.protocol.response_shapes import Object, part

BOUNCES_AFTER_SECONDS = 4 * 24 * 60 * 60
"""How long a bank takes to say that a debit failed (docs.stripe.com/payments/ach-direct-debit: up to four business days)."""


@dataclass(frozen=True)
class Decline:
    """What `last_payment_error` says: `code`, `decline_code`, `message`."""

    code: str
    decline_code: str | None
    message: str


DECLINED = Decline("card_declined", "generic_decline", "Your card was declined.")
EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.")
NOT_AUTHENTICATED = Decline(
    "payment_intent_authentication_failure", None, "The provided PaymentMethod has failed authentication."
)
BOUNCED = Decline("insufficient_funds", None, "The customer's account has insufficient funds to cover this payment.")


class Charging:
    def __init__(self, books: Books) -> None:
        self._books = books

    def open_intent(self, amount: int, currency: str, customer: str | None, metadata: dict[str, str]) -> Object:
        intent = self._books.keep(
            "payment_intent",
            "pi",
            amount=amount,
            amount_capturable=0,
            amount_received=0,
            capture_method="automatic_async",
            confirmation_method="automatic",
            currency=currency,
            customer=customer,
            metadata=metadata,
            payment_method_types=["card"],
            status="requires_payment_method",
        )
        intent["client_secret"] = f"{intent['id']}_secret_{self._books.new_id('s')}"
        self._books.announce("payment_intent.created", intent)
        return intent

    def try_card(self, intent: Object, card: Card) -> bool:
        """Whether the money came. If not, the intent's status says why."""
        if card in {Card.DECLINED, Card.EXPIRED}:
            self._decline(intent, EXPIRED if card is Card.EXPIRED else DECLINED)
        elif card is Card.NEEDS_AUTHENTICATION:
            intent["status"] = "requires_action"
            intent["next_action"] = part("payment_intent", "NextAction", type="use_stripe_sdk", use_stripe_sdk={})
            self._books.announce("payment_intent.requires_action", intent)
        elif card in {Card.BANK_DEBIT, Card.BOUNCING_DEBIT}:
            intent["status"] = "processing"
            if card is Card.BOUNCING_DEBIT:
                self._books.bounces[intent["id"]] = self._books.now() + BOUNCES_AFTER_SECONDS
            self._books.announce("payment_intent.processing", intent)
        elif intent["capture_method"] == "manual":
            intent.update(status="requires_capture", amount_capturable=intent["amount"])
            self._charge(intent, "succeeded", captured=False)
            self._books.announce("payment_intent.amount_capturable_updated", intent)
        else:
            self.succeed(intent)
        return bool(intent["status"] == "succeeded")

    def succeed(self, intent: Object) -> None:
        intent.update(status="succeeded", amount_received=intent["amount"], amount_capturable=0, next_action=None)
        intent["last_payment_error"] = None
        earlier = self._books.objects.get(intent["latest_charge"] or "")
        if earlier is not None and not earlier["captured"] and earlier["status"] == "succeeded":
            earlier.update(captured=True, amount_captured=intent["amount"])
        else:
            self._charge(intent, "succeeded")
        self._books.announce("payment_intent.succeeded", intent)

    def fail(self, intent: Object) -> None:
        """The customer did not pass 3-D Secure, or the bank returned the debit."""
        self._decline(intent, BOUNCED if intent["status"] == "processing" else NOT_AUTHENTICATED)

    def _decline(self, intent: Object, why: Decline) -> None:
        self._charge(intent, "failed", failure=why.code)
        intent.update(status="requires_payment_method", payment_method=None, next_action=None)
        intent["last_payment_error"] = part(
            "payment_intent",
            "LastPaymentError",
            type="card_error",
            code=why.code,
            decline_code=why.decline_code,
            message=why.message,
            charge=intent["latest_charge"],
        )
        self._books.announce("payment_intent.payment_failed", intent)

    def _charge(self, intent: Object, status: str, *, captured: bool = True, failure: str | None = None) -> None:
        succeeded = status == "succeeded"
        charge = self._books.keep(
            "charge",
            "ch",
            amount=intent["amount"],
            amount_captured=intent["amount"] if succeeded and captured else 0,
            amount_refunded=0,
            billing_details=part("charge", "BillingDetails"),
            captured=succeeded and captured,
            currency=intent["currency"],
            customer=intent["customer"],
            disputed=False,
            metadata=deepcopy(intent["metadata"]),
            paid=succeeded,
            payment_intent=intent["id"],
            refunded=False,
            status=status,
            failure_code=failure,
        )
        intent["latest_charge"] = charge["id"]
        self._books.announce(f"charge.{status}", charge)

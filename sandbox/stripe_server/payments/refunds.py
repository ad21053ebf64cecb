"""Money that goes back: refunds, and disputes that a cardholder's bank opens."""

from copy import deepcopy

from sandbox.stripe_server.books import Books, Call, Handlers
from sandbox.stripe_server.protocol.refusals import WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object, part

EVIDENCE_SECONDS = 7 * 24 * 60 * 60
DISPUTE_ENDED = frozenset({"won", "lost", "warning_closed"})


class Refunds:
    def __init__(self, books: Books) -> None:
        self._books = books
        books.includers["charge", "refunds"] = self._of_charge

    def handlers(self) -> Handlers:
        return {
            ("post", "/v1/refunds"): self._create,
            ("get", "/v1/refunds/{refund}"): lambda call: self._books.get("refund", call.arguments[0]),
            ("get", "/v1/refunds"): self._list,
            ("get", "/v1/disputes/{dispute}"): lambda call: self._books.get("dispute", call.arguments[0]),
            ("get", "/v1/disputes"): self._list_disputes,
        }

    def refund(self, charge: Object, amount: int | None = None, reason: str | None = None) -> Object:
        """All that is left of a charge unless an amount is given. Raises WrongParameter."""
        left = charge["amount"] - charge["amount_refunded"]
        if charge["disputed"]:
            raise WrongParameter("This charge has been charged back; cannot issue a refund.", code="charge_disputed")
        if charge["status"] != "succeeded":
            raise WrongParameter("This charge has not been paid.", param="charge")
        if left == 0:
            raise WrongParameter("This charge has already been refunded.", code="charge_already_refunded")
        amount = left if amount is None else amount
        if not 0 < amount <= left:
            raise WrongParameter("Refund amount is greater than unrefunded amount on charge.", param="amount")
        refund = self._books.keep(
            "refund",
            "re",
            amount=amount,
            charge=charge["id"],
            currency=charge["currency"],
            metadata={},
            payment_intent=charge["payment_intent"],
            reason=reason,
            status="succeeded",
        )
        before = deepcopy(charge)
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self._books.announce("refund.created", refund)
        self._books.announce("charge.refunded", charge, before)
        return refund

    def fail(self, refund: Object) -> None:
        """The cardholder's bank sends the money back to us (docs.stripe.com/refunds#failed-refunds)."""
        if refund["status"] != "succeeded":
            raise WrongParameter(f"This refund is {refund['status']}.")
        before = deepcopy(refund)
        refund.update(status="failed", failure_reason="lost_or_stolen_card")
        charge = self._books.get("charge", refund["charge"])
        charge.update(amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
        self._books.announce("refund.failed", refund, before)
        self._books.announce("charge.refund.updated", refund, before)

    def dispute(self, charge: Object, *, inquiry: bool = False) -> Object:
        """The bank takes the money back at once. An inquiry only asks."""
        status = "warning_needs_response" if inquiry else "needs_response"
        dispute = self._books.keep(
            "dispute",
            "du",
            amount=charge["amount"],
            balance_transactions=[],
            charge=charge["id"],
            currency=charge["currency"],
            enhanced_eligibility_types=[],
            evidence=part("dispute", "Evidence", enhanced_evidence={}),
            evidence_details=part(
                "dispute",
                "EvidenceDetails",
                due_by=self._books.now() + EVIDENCE_SECONDS,
                enhanced_eligibility={},
                has_evidence=False,
                past_due=False,
                submission_count=0,
                submission_method="not_submitted",
            ),
            is_charge_refundable=inquiry,
            metadata={},
            payment_intent=charge["payment_intent"],
            reason="fraudulent",
            status=status,
        )
        charge["disputed"] = not inquiry
        self._books.announce("charge.dispute.created", dispute)
        if not inquiry:
            self._books.announce("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def close(self, dispute: Object, status: str) -> None:
        """`won`, `lost` or `warning_closed`."""
        if dispute["status"] in DISPUTE_ENDED:
            raise WrongParameter(f"This dispute is {dispute['status']}.")
        dispute["status"] = status
        self._books.announce("charge.dispute.closed", dispute)
        if status == "won":
            self._books.announce("charge.dispute.funds_reinstated", dispute)

    def _create(self, call: Call) -> Object:
        call.imitated("charge", "payment_intent", "amount", "reason", "metadata")
        if "charge" in call.params:
            charge = self._books.get("charge", call.params["charge"], "charge")
        elif "payment_intent" in call.params:
            intent = self._books.get("payment_intent", call.params["payment_intent"], "payment_intent")
            if intent["latest_charge"] is None:
                raise WrongParameter("This PaymentIntent does not have a successful charge to refund.")
            charge = self._books.get("charge", intent["latest_charge"])
        else:
            raise WrongParameter(
                "One of the following params should be provided for this request: payment_intent or charge."
            )
        refund = self.refund(charge, call.params.get("amount"), call.params.get("reason"))
        refund["metadata"] = dict(call.params.get("metadata", {}))
        return refund

    def _list(self, call: Call) -> Object:
        return self._listed(call, "refund")

    def _list_disputes(self, call: Call) -> Object:
        return self._listed(call, "dispute")

    def _listed(self, call: Call, kind: str) -> Object:
        names = ("charge", "payment_intent")
        call.imitated(*names, "limit", "starting_after", "ending_before", "created")
        equal = self._books.named(call, *names)
        return self._books.page(call, self._books.all(kind, **equal))

    def _of_charge(self, call: Call) -> Object:
        return self._books.page(call, self._books.all("refund", charge=call.arguments[0]))

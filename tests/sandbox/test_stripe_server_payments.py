"""Payment intents, refunds and disputes."""

from collections.abc import Callable

import pytest
import stripe

from tests.sandbox.stripe_account import Account


def intent(account: Account, amount: int = 2500) -> stripe.PaymentIntent:
    return account.client.v1.payment_intents.create(
        {
            "amount": amount,
            "currency": "usd",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"order_id": "o1"},
        }
    )


def confirm(account: Account, intent_id: str, method: str) -> stripe.PaymentIntent:
    return account.client.v1.payment_intents.confirm(intent_id, {"payment_method": method})


def paid(account: Account) -> stripe.PaymentIntent:
    return confirm(account, intent(account).id, "pm_card_visa")


def test_a_good_card_pays(account: Account) -> None:
    done = paid(account)

    assert (done.status, done.amount_received) == ("succeeded", 2500)
    assert account.kinds()[-2:] == ["charge.succeeded", "payment_intent.succeeded"]


def test_a_declined_card_leaves_the_intent_open_for_another(account: Account) -> None:
    made = intent(account)
    with pytest.raises(stripe.CardError) as declined:
        confirm(account, made.id, "pm_card_chargeDeclined")

    assert (declined.value.code, declined.value.http_status) == ("card_declined", 402)
    assert account.client.v1.payment_intents.retrieve(made.id).status == "requires_payment_method"
    assert confirm(account, made.id, "pm_card_visa").status == "succeeded"


@pytest.mark.parametrize(("passed", "status"), [(True, "succeeded"), (False, "requires_payment_method")])
def test_3d_secure_is_up_to_the_customer(account: Account, passed: bool, status: str) -> None:
    made = confirm(account, intent(account).id, "pm_card_authenticationRequired")
    assert made.status == "requires_action"
    assert made.next_action is not None

    account.server.payment_intents.authenticate(account.server.books.get("payment_intent", made.id), passed=passed)
    assert account.client.v1.payment_intents.retrieve(made.id).status == status


def test_a_bank_debit_is_processing(account: Account) -> None:
    assert confirm(account, intent(account).id, "pm_usBankAccount_success").status == "processing"


def refusals(account: Account) -> dict[str, tuple[Callable[[], object], str]]:
    done, payments = paid(account), account.client.v1.payment_intents
    return {
        "confirm": (lambda: confirm(account, done.id, "pm_card_visa"), "payment_intent_unexpected_state"),
        "cancel": (lambda: payments.cancel(done.id), "payment_intent_unexpected_state"),
        "update": (lambda: payments.update(done.id, {"amount": 100}), "payment_intent_unexpected_state"),
        "too small": (lambda: intent(account, 49), "amount_too_small"),
        "no method": (lambda: payments.confirm(intent(account).id), "payment_intent_unexpected_state"),
        "unknown method": (lambda: confirm(account, intent(account).id, "pm_none"), "resource_missing"),
    }


@pytest.mark.parametrize("what", ["confirm", "cancel", "update", "too small", "no method", "unknown method"])
def test_what_an_intent_does_not_allow_is_refused(account: Account, what: str) -> None:
    call, code = refusals(account)[what]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        call()
    assert refused.value.code == code


def test_confirming_on_the_server_needs_a_return_url_unless_redirects_are_off(account: Account) -> None:
    made = account.client.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        confirm(account, made.id, "pm_card_visa")
    assert refused.value.param == "return_url"


def test_an_open_intent_can_be_changed_and_cancelled(account: Account) -> None:
    made = intent(account)
    assert account.client.v1.payment_intents.update(made.id, {"amount": 3000}).amount == 3000
    assert account.client.v1.payment_intents.cancel(made.id).status == "canceled"


def test_a_held_amount_is_taken_by_the_capture(account: Account) -> None:
    made = account.client.v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "usd",
            "capture_method": "manual",
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
    )
    held = confirm(account, made.id, "pm_card_visa")
    assert (held.status, held.amount_capturable) == ("requires_capture", 500)
    assert account.client.v1.payment_intents.capture(made.id).status == "succeeded"
    assert len(account.client.v1.charges.list({"payment_intent": made.id}).data) == 1


def test_refunds_add_up_to_the_charge_and_no_more(account: Account) -> None:
    done = paid(account)
    account.client.v1.refunds.create({"payment_intent": done.id, "amount": 500})
    charge = account.client.v1.charges.retrieve(str(done.latest_charge))
    assert (charge.amount_refunded, charge.refunded) == (500, False)

    account.client.v1.refunds.create({"charge": charge.id})
    assert account.client.v1.charges.retrieve(charge.id).refunded is True
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.client.v1.refunds.create({"charge": charge.id})
    assert refused.value.code == "charge_already_refunded"


def test_a_disputed_charge_cannot_be_refunded(account: Account) -> None:
    done = paid(account)
    dispute = account.server.refunds.dispute(account.server.books.get("charge", str(done.latest_charge)))

    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.client.v1.refunds.create({"payment_intent": done.id})
    assert refused.value.code == "charge_disputed"
    account.server.refunds.close(dispute, "won")
    assert account.client.v1.disputes.retrieve(dispute["id"]).status == "won"


def test_an_inquiry_takes_no_money(account: Account) -> None:
    done = paid(account)
    charge = account.server.books.get("charge", str(done.latest_charge))
    account.server.refunds.dispute(charge, inquiry=True)

    assert account.client.v1.charges.retrieve(charge["id"]).disputed is False
    assert "charge.dispute.funds_withdrawn" not in account.kinds()


def test_the_invoice_of_a_charge_is_found_through_its_payment(account: Account) -> None:
    subscription = account.subscribe()
    charge = account.last("charge")
    found = account.client.v1.invoice_payments.list(
        {"payment": {"type": "payment_intent", "payment_intent": charge["payment_intent"]}}
    )

    assert [each.invoice for each in found.data] == [subscription.latest_invoice]


def test_a_part_that_was_refunded_with_a_key_is_refunded_once_and_keeps_its_metadata(account: Account) -> None:
    done = paid(account)
    part: stripe.params.RefundCreateParams = {"payment_intent": done.id, "amount": 500, "metadata": {"key": "refund:1"}}
    first, again = (account.client.v1.refunds.create(part, {"idempotency_key": "refund:1"}) for _ in range(2))
    other = account.client.v1.refunds.create({**part, "amount": 700}, {"idempotency_key": "refund:2"})

    assert (first.id, first.amount) == (again.id, 500)
    listed = account.client.v1.refunds.list({"payment_intent": done.id}).data
    assert {(each.id, each.amount) for each in listed} == {(first.id, 500), (other.id, 700)}
    assert all(each.metadata is not None and each.metadata["key"] == "refund:1" for each in listed)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.client.v1.refunds.create({"payment_intent": done.id, "amount": 1301})
    assert refused.value.param == "amount"


def test_money_that_comes_after_the_payment_was_cancelled(account: Account) -> None:
    made = intent(account)
    account.client.v1.payment_intents.cancel(made.id)
    answer = account.control("pay-late", payment_intent=made.id)
    assert answer.status_code == 200

    late = account.client.v1.payment_intents.retrieve(made.id)
    assert (late.status, late.amount_received, late.canceled_at) == ("succeeded", 2500, None)
    assert account.kinds()[-2:] == ["charge.succeeded", "payment_intent.succeeded"]
    assert account.client.v1.refunds.create({"payment_intent": made.id}).amount == 2500
    assert account.control("pay-late", payment_intent=made.id).status_code == 409

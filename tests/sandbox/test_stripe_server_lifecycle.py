"""What becomes of a subscription: renewals, failures, cancellations, changes of the plan."""

from typing import Any

import pytest
import stripe

from sandbox.stripe_server.billing.subscriptions import DAY
from sandbox.stripe_server.books import Card
from tests.sandbox.stripe_account import ENTERPRISE, PRO, PRO_YEARLY, Account


def period_end(subscription: stripe.Subscription) -> int:
    return subscription.items.data[0].current_period_end


def upgrade(account: Account, subscription: stripe.Subscription) -> stripe.Subscription:
    return account.client.v1.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": subscription.items.data[0].id, "price": ENTERPRISE}],
            "payment_behavior": "pending_if_incomplete",
            "proration_behavior": "always_invoice",
        },
    )


def test_a_period_is_a_calendar_month_and_renews(account: Account) -> None:
    subscription = account.subscribe()
    assert period_end(subscription) - account.server.books.now() == 31 * 24 * 3600

    account.advance(days=32)
    renewed = account.again(subscription)
    assert renewed.status == "active"
    assert period_end(renewed) - period_end(subscription) == 30 * 24 * 3600
    assert account.kinds().count("invoice.paid") == 2


def test_a_failed_renewal_moves_the_period_and_is_tried_again_until_the_end(account: Account) -> None:
    subscription = account.subscribe()
    account.put_on_file(subscription, Card.DECLINED)
    account.advance(days=32)

    failing = account.again(subscription)
    assert failing.status == "past_due"
    assert period_end(failing) > account.server.books.now()
    account.advance(days=20)
    assert account.again(subscription).status == "canceled"
    assert account.kinds().count("invoice.payment_failed") == 4


@pytest.mark.parametrize("setting", ["unpaid", "past_due"])
def test_the_account_may_keep_a_subscription_that_is_not_paid(account: Account, setting: str) -> None:
    account.server.calendar.after_retries = setting
    subscription = account.subscribe()
    account.put_on_file(subscription, Card.DECLINED)
    account.advance(days=52)

    assert account.again(subscription).status == setting


def test_a_repaired_card_is_charged_at_the_next_retry(account: Account) -> None:
    subscription = account.subscribe()
    account.put_on_file(subscription, Card.DECLINED)
    account.advance(days=32)
    account.put_on_file(subscription, Card.GOOD)
    account.advance(days=4)

    assert account.again(subscription).status == "active"


def test_paying_the_open_invoice_revives_a_subscription(account: Account) -> None:
    subscription = account.subscribe()
    account.put_on_file(subscription, Card.DECLINED)
    account.advance(days=32)
    invoice = account.again(subscription).latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    with pytest.raises(stripe.CardError):
        account.client.v1.invoices.pay(invoice.id)

    account.put_on_file(subscription, Card.GOOD)
    assert account.client.v1.invoices.pay(invoice.id).status == "paid"
    assert account.again(subscription).status == "active"


def test_cancelling_at_the_period_end_keeps_the_period(account: Account) -> None:
    subscription = account.subscribe()
    cancelled = account.client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})

    assert (cancelled.status, cancelled.cancel_at) == ("active", period_end(subscription))
    account.advance(days=32)
    assert account.again(subscription).status == "canceled"
    assert account.again(subscription).ended_at == period_end(subscription)
    assert account.kinds()[-1] == "customer.subscription.deleted"


def test_a_cancellation_at_once_cannot_be_repeated(account: Account) -> None:
    subscription = account.subscribe()
    assert account.client.v1.subscriptions.cancel(subscription.id).status == "canceled"

    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.client.v1.subscriptions.cancel(subscription.id)
    assert refused.value.code == "resource_missing"


def test_a_trial_is_charged_at_its_end(account: Account) -> None:
    subscription = account.subscribe(trial_period_days=7)
    assert (subscription.status, period_end(subscription)) == ("trialing", subscription.trial_end)

    account.advance(days=5)
    assert "customer.subscription.trial_will_end" in account.kinds()
    account.advance(days=3)
    assert account.again(subscription).status == "active"


@pytest.mark.parametrize(
    ("setting", "status"), [("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "past_due")]
)
def test_a_trial_without_a_card_ends_as_its_settings_say(account: Account, setting: str, status: str) -> None:
    subscription = account.subscribe(
        trial_period_days=7, trial_settings={"end_behavior": {"missing_payment_method": setting}}
    )
    account.server.books.cards.clear()
    account.advance(days=8)

    assert account.again(subscription).status == status


def test_an_upgrade_is_charged_for_the_rest_of_the_period(account: Account) -> None:
    subscription = account.subscribe()
    account.advance(days=15)
    changed = account.again(upgrade(account, subscription))

    assert changed.items.data[0].price.id == ENTERPRISE
    assert period_end(changed) == period_end(subscription)
    assert isinstance(changed.latest_invoice, stripe.Invoice)
    assert changed.latest_invoice.amount_paid == round(9900 * 16 / 31) - round(1900 * 16 / 31)


def test_an_upgrade_that_is_not_paid_waits_and_expires(account: Account) -> None:
    subscription = account.subscribe()
    account.put_on_file(subscription, Card.DECLINED)
    waiting = upgrade(account, subscription)

    assert waiting.pending_update is not None
    assert (waiting.items.data[0].price.id, waiting.status) == (PRO, "active")
    account.advance(hours=24)
    left = account.again(subscription)
    assert (left.pending_update, left.items.data[0].price.id) == (None, PRO)
    assert "customer.subscription.pending_update_expired" in account.kinds()


def test_an_upgrade_that_is_paid_later_is_applied(account: Account) -> None:
    subscription = account.subscribe()
    account.put_on_file(subscription, Card.NEEDS_AUTHENTICATION)
    invoice_id = upgrade(account, subscription).latest_invoice
    account.server.invoices.settle(account.server.books.get("invoice", str(invoice_id)), succeeded=True)

    assert account.again(subscription).items.data[0].price.id == ENTERPRISE
    assert "customer.subscription.pending_update_applied" in account.kinds()


def test_a_pending_update_takes_few_parameters(account: Account) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.client.v1.subscriptions.update(
            account.subscribe().id, {"payment_behavior": "pending_if_incomplete", "metadata": {"a": "b"}}
        )
    assert refused.value.param == "metadata"


def test_a_price_without_the_items_id_is_added_beside_the_old_one(account: Account) -> None:
    subscription = account.subscribe()
    account.client.v1.subscriptions.update(subscription.id, {"items": [{"price": ENTERPRISE}]})

    assert len(account.again(subscription).items.data) == 2


def test_a_new_interval_begins_a_new_period(account: Account) -> None:
    subscription = account.subscribe()
    account.advance(days=10)
    item = subscription.items.data[0].id
    changed = account.client.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item, "price": PRO_YEARLY}], "proration_behavior": "always_invoice"}
    )

    assert changed.items.data[0].current_period_start == account.server.books.now()
    assert period_end(changed) - account.server.books.now() == 365 * 24 * 3600


def test_a_schedule_changes_the_price_at_the_end_of_the_period_and_lets_go(account: Account) -> None:
    subscription = account.subscribe(ENTERPRISE)
    schedule = account.client.v1.subscription_schedules.create({"from_subscription": subscription.id})
    phase = schedule.phases[0]
    account.client.v1.subscription_schedules.update(
        schedule.id,
        {
            "end_behavior": "release",
            "phases": [
                {
                    "items": [{"price": ENTERPRISE, "quantity": 1}],
                    "start_date": phase.start_date,
                    "end_date": phase.end_date,
                },
                {"items": [{"price": PRO, "quantity": 1}], "duration": {"interval": "month", "interval_count": 1}},
            ],
        },
    )

    account.advance(days=30)
    assert account.again(subscription).items.data[0].price.id == ENTERPRISE
    account.advance(days=2)
    renewed = account.again(subscription)
    assert renewed.items.data[0].price.id == PRO
    assert isinstance(renewed.latest_invoice, stripe.Invoice)
    assert renewed.latest_invoice.amount_paid == 1900
    account.advance(days=31)
    assert account.again(subscription).schedule is None


def test_a_scheduled_subscription_is_not_cancelled_directly(account: Account) -> None:
    subscription = account.subscribe()
    schedule = account.client.v1.subscription_schedules.create({"from_subscription": subscription.id})
    with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
        account.client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})

    account.client.v1.subscription_schedules.release(schedule.id)
    assert account.client.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True}).cancel_at


def test_pausing_and_resuming(account: Account) -> None:
    subscription = account.subscribe()
    assert account.client.v1.subscriptions.pause(subscription.id).status == "paused"
    assert account.client.v1.subscriptions.resume(subscription.id).status == "active"
    assert account.kinds()[-1] == "customer.subscription.resumed"


def test_deleting_a_customer_ends_their_subscriptions(account: Account) -> None:
    subscription = account.subscribe()
    account.client.v1.customers.delete(str(subscription.customer))

    assert account.again(subscription).status == "canceled"
    assert account.kinds()[-2:] == ["customer.subscription.deleted", "customer.deleted"]


def test_an_incomplete_subscription_expires(account: Account) -> None:
    customer = account.customer().id
    account.server.books.put_on_file(customer, Card.DECLINED)
    subscription = account.client.v1.subscriptions.create({"customer": customer, "items": [{"price": PRO}]})
    assert subscription.status == "incomplete"
    account.advance(hours=24)

    assert account.again(subscription).status == "incomplete_expired"


def test_a_first_debit_that_is_on_its_way_may_take_longer(account: Account) -> None:
    subscription = account.subscribe(card=Card.BANK_DEBIT)
    account.advance(days=3)
    assert account.again(subscription).status == "incomplete"

    account.server.checkout.settle(account.last("checkout.session"), succeeded=True)
    assert account.again(subscription).status == "active"


def test_a_first_debit_that_bounces_ends_what_was_bought_with_it(account: Account) -> None:
    subscription = account.subscribe(card=Card.BOUNCING_DEBIT)
    account.advance(days=5)

    assert account.again(subscription).status == "incomplete_expired"
    assert account.kinds()[-1] == "checkout.session.async_payment_failed"


def test_a_debit_of_a_renewal_that_bounces_makes_it_overdue_days_later(account: Account) -> None:
    subscription = account.subscribe()
    account.put_on_file(subscription, Card.BOUNCING_DEBIT)
    account.advance(days=32)
    assert account.again(subscription).status == "active"
    account.advance(days=4)
    assert account.again(subscription).status == "past_due"

    account.put_on_file(subscription, Card.GOOD)
    account.advance(days=4)
    assert account.again(subscription).status == "active"


def test_debits_that_keep_bouncing_end_it(account: Account) -> None:
    subscription = account.subscribe()
    account.put_on_file(subscription, Card.BOUNCING_DEBIT)
    account.advance(days=31 + 4 * 4 + 3 + 5 + 7 + 1)

    assert account.again(subscription).status == "canceled"


def test_a_card_works_until_it_expires(account: Account) -> None:
    subscription = account.subscribe()
    account.server.books.put_on_file(str(subscription.customer), Card.GOOD, account.server.books.now() + 40 * DAY)
    account.advance(days=32)
    assert account.again(subscription).status == "active"
    account.advance(days=31)

    assert account.again(subscription).status == "past_due"
    error = account.last("payment_intent")["last_payment_error"]
    assert (error["code"], error["message"]) == ("expired_card", "Your card has expired.")


def test_an_invoice_can_be_paid_long_after_its_subscription_has_ended(account: Account) -> None:
    subscription = account.subscribe()
    account.put_on_file(subscription, Card.DECLINED)
    account.advance(days=60)
    invoice = account.again(subscription).latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    account.server.invoices.pay(account.server.books.get("invoice", invoice.id), Card.GOOD)

    assert account.client.v1.invoices.retrieve(invoice.id).status == "paid"
    assert account.again(subscription).status == "canceled"


@pytest.mark.parametrize(("days", "renewals"), [(10, 0), (45, 1), (75, 2)])
def test_a_planned_end_may_lie_anywhere(account: Account, days: int, renewals: int) -> None:
    subscription = account.subscribe()
    end = account.server.books.now() + days * DAY
    planned = account.client.v1.subscriptions.update(subscription.id, {"cancel_at": end})
    assert (planned.cancel_at, planned.cancel_at_period_end) == (end, False)
    account.advance(days=100)

    assert account.again(subscription).ended_at == end
    assert account.kinds().count("invoice.paid") == 1 + renewals


def test_an_end_cannot_be_planned_for_the_past(account: Account) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.client.v1.subscriptions.update(account.subscribe().id, {"cancel_at": 1_000_000_000})
    assert refused.value.param == "cancel_at"


def test_a_subscription_list_leaves_out_the_cancelled_unless_asked(account: Account) -> None:
    subscription = account.subscribe()
    account.client.v1.subscriptions.cancel(subscription.id)

    assert account.client.v1.subscriptions.list().data == []
    assert [each.id for each in account.client.v1.subscriptions.list({"status": "all"}).data] == [subscription.id]


@pytest.mark.parametrize(
    ("behavior", "status"), [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")]
)
def test_nothing_is_collected_while_collection_is_paused(account: Account, behavior: Any, status: str) -> None:
    subscription = account.subscribe()
    account.client.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": behavior}})
    account.advance(days=32)

    left = account.again(subscription)
    assert left.status == "active"
    assert isinstance(left.latest_invoice, stripe.Invoice)
    assert (left.latest_invoice.status, left.latest_invoice.amount_paid) == (status, 0)
    assert account.client.v1.subscriptions.update(subscription.id, {"pause_collection": ""}).pause_collection is None

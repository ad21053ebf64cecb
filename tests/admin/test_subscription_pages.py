"""`/admin/subscriptions` and `/admin/payments`."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from auth.principal import Role
from database import transaction
from database.base import uuid7
from payments.models import Item, Payment, Subscription
from payments.subscriptions.grant_tier import recompute_tier
from payments.subscriptions.status import Provider, SubscriptionStatus
from tests.admin.dashboard import Dashboard, text_of


def subscribe(dashboard: Dashboard, user_id: UUID, name: str | None = "sub_1", **more: Any) -> UUID:
    """As the provider's fact makes it, with the tier that comes of it."""
    now = dashboard.auth.clock()
    facts = {
        "provider": Provider.STRIPE,
        "environment": "test",
        "stripe_subscription_id": name,
        "tier": "pro",
        "status": SubscriptionStatus.ACTIVE,
        "provider_status": "active",
        "product_id": "price_pro_monthly",
        "period_end": now + timedelta(days=30),
    }
    with dashboard.app.app_context(), transaction() as session:
        row = Subscription(
            id=uuid7(), user_id=user_id, bound_at=now, created_at=now, updated_at=now, **{**facts, **more}
        )
        session.add(row)
        session.flush()
        recompute_tier(session, user_id, cause="stripe:evt_1", now=now)
        return row.id


def buy(dashboard: Dashboard, user_id: UUID, external_id: str, status: str = "succeeded") -> None:
    now = dashboard.auth.clock()
    with dashboard.app.app_context(), transaction() as session:
        item = Item(id=uuid7(), code=f"pass-{external_id}", title="A pass", amount=499, currency="eur", created_at=now)
        item.updated_at = now
        session.add(item)
        session.flush()
        session.add(
            Payment(
                id=uuid7(),
                user_id=user_id,
                provider="stripe",
                external_id=external_id,
                amount=499,
                currency="eur",
                purchase_kind="item",
                purchase_id=item.id,
                quantity=1,
                reserved_until=now,
                refunded_amount=100,
                status=status,
                created_at=now,
                updated_at=now,
            )
        )


def shown(page_text: str, *subscriptions: UUID) -> list[bool]:
    return [f"/admin/subscriptions/{each}" in page_text for each in subscriptions]


def test_admins_list_and_filter_subscriptions(dashboard: Dashboard) -> None:
    alice, bob, admin = dashboard.user(), dashboard.user("bob@example.com"), dashboard.staff()
    first = subscribe(dashboard, alice)
    second = subscribe(dashboard, bob, "sub_2", tier="plus", status="canceled")
    third = subscribe(dashboard, bob, None, provider="apple", environment="Sandbox", apple_transaction_id="7")
    everything = admin.get("/admin/subscriptions?limit=2")
    assert shown(everything.text, third, second, first) == [True, True, False]
    assert shown(admin.get(f"/admin/subscriptions?limit=2&cursor={second}").text, third, second, first)[2]
    for query, expected in (
        ("provider=apple", [False, False, True]),
        ("status=canceled", [False, True, False]),
        ("tier=plus", [False, True, False]),
        ("provider_id=sub_1", [True, False, False]),
        ("provider_id=7", [False, False, True]),
        ("account=bob@example.com", [False, True, True]),
    ):
        assert shown(admin.get(f"/admin/subscriptions?{query}").text, first, second, third) == expected, query
    assert "No subscription matches" in text_of(admin.get("/admin/subscriptions?status=unpaid"))
    assert admin.get("/admin/subscriptions?status=good").status_code == 422


def test_a_subscription_says_what_the_provider_said_and_what_it_gives(dashboard: Dashboard) -> None:
    alice, support = dashboard.user(), dashboard.staff(Role.SUPPORT)
    page = support.get(f"/admin/subscriptions/{subscribe(dashboard, alice)}")
    words = text_of(page)
    for expected in (
        "alice@example.com",
        "sub_1",
        "price_pro_monthly",
        "free → pro",
        "stripe:evt_1",
        "What Stripe said",
    ):
        assert expected in words
    assert f"/admin/accounts/{alice}" in page.text
    assert support.get(f"/admin/subscriptions/{uuid4()}").status_code == 404


def test_a_subscription_that_nobody_owns_is_shown_too(dashboard: Dashboard) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    found = subscribe(dashboard, alice, status="revoked", revoked_at=dashboard.auth.clock())
    dashboard.query("DELETE FROM users WHERE id = :user", user=alice)
    assert shown(admin.get("/admin/subscriptions").text, found) == [True]
    assert "Gives access no" in text_of(admin.get(f"/admin/subscriptions/{found}"))


def test_a_status_of_another_release_is_shown_as_it_is(dashboard: Dashboard) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    found = subscribe(dashboard, alice)
    dashboard.query("UPDATE subscriptions SET status = 'hibernating'")
    for path in ("subscriptions", f"subscriptions/{found}", f"accounts/{alice}"):
        assert "hibernating" in text_of(admin.get(f"/admin/{path}"))


def test_support_sees_one_account_at_a_time(dashboard: Dashboard) -> None:
    alice, bob, support = dashboard.user(), dashboard.user("bob@example.com"), dashboard.staff(Role.SUPPORT)
    first, second = subscribe(dashboard, alice), subscribe(dashboard, bob, "sub_2")
    buy(dashboard, alice, "pi_1")
    for path in ("subscriptions", "payments"):
        assert "Support sees one at a time" in text_of(support.get(f"/admin/{path}"))
    assert shown(support.get("/admin/subscriptions?account=alice@example.com").text, first, second) == [True, False]
    assert shown(support.get("/admin/subscriptions?provider_id=sub_2").text, first, second) == [False, True]
    assert "pi_1" in text_of(support.get(f"/admin/payments?account={alice}"))
    assert "pi_1" in text_of(support.get("/admin/payments?provider_id=pi_1"))


def test_a_payment_just_bought_is_seen(dashboard: Dashboard) -> None:
    alice, admin = dashboard.user(), dashboard.staff()
    buy(dashboard, alice, "pi_1")
    buy(dashboard, alice, "pi_2", "held")
    words = text_of(admin.get("/admin/payments"))
    assert words.index("pi_2") < words.index("pi_1")
    for expected in ("alice@example.com", "1 \u00d7 pass-pi_1", "4.99 EUR", "1.00 EUR", "succeeded", "held"):
        assert expected in words
    held = text_of(admin.get("/admin/payments?status=held"))
    assert ("pi_2" in held, "pi_1" in held) == (True, False)
    assert "No payment matches" in text_of(admin.get("/admin/payments?status=disputed"))
    assert admin.get("/admin/payments?status=paid").status_code == 422
    assert "4.99 EUR" in text_of(admin.get(f"/admin/accounts/{alice}"))

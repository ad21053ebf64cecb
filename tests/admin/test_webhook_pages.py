"""/admin/webhooks"""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth.principal import Role
from payments.inbox.inbox import EventState
from payments.subscriptions.status import Provider
from tests.admin.dashboard import Dashboard, text_of

JOBS = "SELECT task_name, args->>'event_id' FROM procrastinate_jobs"


def event(dashboard: Dashboard, external_id: str, provider: Provider = Provider.STRIPE, **changes: Any) -> UUID:
    """One that has no job any more, unless `changes` say otherwise."""
    body = json.dumps({"id": external_id, "data": {"object": {"id": "sub_9184", "object": "subscription"}}}).encode()
    if provider is Provider.APPLE:
        body = b"signed.by.apple"
    kind = changes.pop("kind", "invoice.paid")
    with dashboard.app.app_context():
        event_id = dashboard.made.payments.inbox.store(
            provider=provider, external_id=external_id, kind=kind, environment="test", body=body
        )
    assert event_id is not None
    dashboard.query("DELETE FROM procrastinate_jobs")
    for column, value in changes.items():
        dashboard.query(f"UPDATE billing_events SET {column} = :value WHERE id = :id", value=value, id=event_id)
    return event_id


def test_without_events_the_page_says_so(dashboard: Dashboard) -> None:
    assert "No event matches." in text_of(dashboard.staff(Role.SUPPORT).get("/admin/webhooks"))


def test_events_are_listed_newest_first_without_their_content(dashboard: Dashboard) -> None:
    event(dashboard, "evt_1", state="dead", attempts=12, last_error="StripeUnavailable")
    event(dashboard, "notification-2", Provider.APPLE, kind="DID_RENEW", state="done")

    answer = dashboard.staff(Role.SUPPORT).get("/admin/webhooks")

    page = text_of(answer)
    assert page.index("DID_RENEW done apple") < page.index("invoice.paid dead stripe")
    assert "12 StripeUnavailable" in page
    assert "signed.by.apple" not in answer.text
    assert "sub_9184" not in answer.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("provider=apple", {"notification-2"}),
        ("state=dead", {"evt_1"}),
        ("kind=invoice.paid", {"evt_1", "evt_3"}),
        ("external_id=evt_3", {"evt_3"}),
        ("provider=stripe&state=done&kind=&external_id=", {"evt_3"}),
        ("provider=apple&state=dead", set()),
    ],
)
def test_the_list_is_filtered(dashboard: Dashboard, query: str, found: set[str]) -> None:
    ids = {
        "evt_1": event(dashboard, "evt_1", state="dead"),
        "notification-2": event(dashboard, "notification-2", Provider.APPLE, kind="DID_RENEW", state="done"),
        "evt_3": event(dashboard, "evt_3", state="done"),
    }
    page = dashboard.staff(Role.SUPPORT).get(f"/admin/webhooks?{query}").text
    assert {name for name, event_id in ids.items() if f"/admin/webhooks/{event_id}" in page} == found


@pytest.mark.parametrize("query", ["provider=paypal", "state=x", "cursor=1", f"kind={'x' * 201}", "else=1"])
def test_a_wrong_filter_is_refused(dashboard: Dashboard, query: str) -> None:
    assert dashboard.staff(Role.SUPPORT).get(f"/admin/webhooks?{query}").status_code == 422


def test_an_event_of_stripe_is_shown_with_what_it_is_about(dashboard: Dashboard) -> None:
    event_id = event(dashboard, "evt_1", state="dead", attempts=12, last_error="StripeUnavailable")
    page = text_of(dashboard.staff(Role.SUPPORT).get(f"/admin/webhooks/{event_id}"))
    for fact in ("State dead", "Provider stripe test", "evt_1", "About sub_9184", "Attempts 12", "StripeUnavailable"):
        assert fact in page


def test_the_signed_text_of_apple_is_not_shown(dashboard: Dashboard) -> None:
    event_id = event(dashboard, "notification-2", Provider.APPLE, kind="DID_RENEW", state="done")
    answer = dashboard.staff(Role.SUPPORT).get(f"/admin/webhooks/{event_id}")
    assert "DID_RENEW" in text_of(answer)
    assert "signed.by.apple" not in answer.text


def test_support_is_not_offered_to_replay(dashboard: Dashboard) -> None:
    event_id = event(dashboard, "evt_1", state="dead")
    assert "/replay" not in dashboard.staff(Role.SUPPORT).get(f"/admin/webhooks/{event_id}").text
    assert "/replay" in dashboard.staff(Role.ADMIN).get(f"/admin/webhooks/{event_id}").text


@pytest.mark.parametrize("state", [EventState.DEAD, EventState.DONE, EventState.IGNORED])
def test_an_admin_replays_an_event(dashboard: Dashboard, state: EventState) -> None:
    event_id = event(dashboard, "evt_1", state=state.value, attempts=12, last_error="StripeUnavailable")
    admin = dashboard.staff()
    assert "Replay invoice.paid" in text_of(admin.get(f"/admin/webhooks/{event_id}/replay"))

    answer = admin.post(f"/admin/webhooks/{event_id}/replay")

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/admin/webhooks/{event_id}?done=replayed")
    assert "The event is queued again." in text_of(admin.get(f"/admin/webhooks/{event_id}?done=replayed"))
    assert dashboard.query("SELECT state, attempts, last_error FROM billing_events") == [("received", 0, None)]
    assert dashboard.query(JOBS) == [("apply_billing_event", str(event_id))]
    assert dashboard.query("SELECT actor_id, detail FROM security_events WHERE event = 'billing_event_replayed'") == [
        (admin.user_id, {"event_id": str(event_id)})
    ]


def test_replaying_asks_for_a_fresh_proof(dashboard: Dashboard) -> None:
    address = f"/admin/webhooks/{event(dashboard, 'evt_1', state='dead')}/replay"
    admin = dashboard.staff()
    admin.grow_old(minutes=6)
    assert (admin.get(address).status_code, admin.post(address).status_code) == (401, 401)
    assert dashboard.query(JOBS) == []


def test_an_event_that_is_not_there_is_said_not_to_be(dashboard: Dashboard) -> None:
    address = f"/admin/webhooks/{uuid4()}"
    admin = dashboard.staff()
    for answer in (admin.get(address), admin.get(f"{address}/replay"), admin.post(f"{address}/replay")):
        assert answer.status_code == 404
        assert "This event is not here." in text_of(answer)

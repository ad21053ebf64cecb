"""/portal/keys"""

import re

from tests.admin.dashboard import BASE, Dashboard, Staff, text_of


def create(customer: Staff, **fields: object) -> str:
    page = customer.post(
        "/portal/keys/new", {"name": "My program", "scopes": ["predict", "usage"], "days": "90", **fields}
    )
    assert page.status_code == 200, page.text
    found = re.search(r"tok_[A-Za-z0-9]+(?=</code></p>\n\s*<p>Send)", page.text)
    assert found is not None
    return found[0]


def test_a_key_is_shown_once_and_works(dashboard: Dashboard) -> None:
    customer = dashboard.customer()
    token = create(customer)
    called = dashboard.stranger.get(
        "/api/gateway/usage/summary", headers={"Authorization": f"Bearer {token}"}, base_url=BASE
    )
    assert called.status_code == 200
    listed = customer.get("/portal/keys")
    assert token not in listed.text and "My program" in text_of(listed)


def test_a_form_with_mistakes_is_shown_again(dashboard: Dashboard) -> None:
    customer = dashboard.customer()
    page = customer.post("/portal/keys/new", {"name": "", "scopes": ["predict"], "days": "90"})
    assert (page.status_code, "Fill in this field" in page.text) == (422, True)
    page = customer.post("/portal/keys/new", {"name": "x", "scopes": ["admin"], "days": "90"})
    assert (page.status_code, "admin is not a scope" in page.text) == (422, True)
    assert dashboard.query("SELECT count(*) FROM api_keys WHERE user_id = :id", id=customer.user_id) == [(0,)]


def test_a_proof_that_is_too_old_is_asked_for_again(dashboard: Dashboard) -> None:
    customer = dashboard.customer()
    customer.grow_old(minutes=6)
    page = customer.get("/portal/keys/new")
    assert (page.status_code, 'action="/portal/confirm-identity"' in page.text) == (401, True)


def test_a_revoked_key_stops_at_once(dashboard: Dashboard) -> None:
    customer = dashboard.customer()
    token = create(customer)
    [(key_id,)] = dashboard.query("SELECT id FROM api_keys WHERE user_id = :id", id=customer.user_id)
    assert "Programs that use this key" in text_of(customer.get(f"/portal/keys/{key_id}/revoke"))
    assert customer.post(f"/portal/keys/{key_id}/revoke").headers["Location"] == "/portal/keys?done=revoked"
    refused = dashboard.stranger.get(
        "/api/gateway/usage/summary", headers={"Authorization": f"Bearer {token}"}, base_url=BASE
    )
    assert refused.status_code == 401


def test_a_key_of_somebody_else_is_not_there(dashboard: Dashboard) -> None:
    owner, other = dashboard.customer(), dashboard.customer()
    create(owner)
    [(key_id,)] = dashboard.query("SELECT id FROM api_keys WHERE user_id = :id", id=owner.user_id)
    assert other.get(f"/portal/keys/{key_id}/revoke").status_code == 404
    assert other.post(f"/portal/keys/{key_id}/revoke").status_code == 404

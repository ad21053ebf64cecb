"""`GET /.well-known/security.txt`."""

from datetime import UTC, datetime

import pytest
from flask import Flask

from app import assemble
from config import SettingsInvalid, load_settings
from security.edge.api_flask import ApiFlask
from security.security_txt.routes import security_txt_routes
from tests.test_config import production

PATH = "/.well-known/security.txt"
BASE = "https://api.example.com"


def test_it_has_the_fields_of_rfc_9116() -> None:
    app = ApiFlask(__name__)
    now = datetime(2026, 11, 30, 17, 4, 5, 6, tzinfo=UTC)
    app.register_blueprint(security_txt_routes("mailto:security@example.com", base_url=BASE, clock=lambda: now))
    answer = app.test_client().get(PATH)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == (
        "Contact: mailto:security@example.com\n"
        "Expires: 2027-05-29T00:00:00Z\n"
        f"Canonical: {BASE}{PATH}\n"
        "Preferred-Languages: en\n"
    )


def whole(**changes: str) -> Flask:
    return assemble(load_settings(production(**changes)))


def test_the_contact_of_the_settings_is_published() -> None:
    answer = whole(SECURITY_CONTACT="https://example.com/security").test_client().get(PATH, base_url=BASE)
    assert answer.status_code == 200
    assert "Contact: https://example.com/security\n" in answer.text


def test_without_a_contact_there_is_none() -> None:
    answer = whole().test_client().get(PATH, base_url=BASE)
    assert (answer.status_code, answer.get_json()["detail"]) == (404, "This is turned off on this server")


@pytest.mark.parametrize(
    "contact",
    [
        "security@example.com",
        "http://example.com/security",
        "mailto:security",
        "mailto:a@example.com\nContact: b",
        "tel:1",
    ],
)
def test_what_is_no_contact_is_refused(contact: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        load_settings(production(SECURITY_CONTACT=contact))
    assert refusal.value.problems == (
        "SECURITY_CONTACT must be an address such as mailto:security@example.com or https://example.com/security",
    )

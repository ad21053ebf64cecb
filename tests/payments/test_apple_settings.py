"""What the App Store needs from the settings: which routes exist, and what a server refuses to start with."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app import assemble
from config import Settings, SettingsInvalid, load_settings
from payments.apple_validator import APPLE_ROOT_SHA256, RootCertificateChanged, apple_root_certificate
from payments.assembly import Payments, apple_of
from payments.billing.rules import BillingRules
from sandbox.apple_server.sold_app import ServerApiKey
from security.api.operation import OPERATIONS_KEY
from tests.payments.payments_app import announce_to, assembled
from tests.whole.environment import production_environment

NOWHERE = "postgresql://mirroros@127.0.0.1:1/mirroros"
APP = {
    "APPLE_BUNDLE_ID": "com.example.app",
    "APPLE_APP_ID": "1234567890",
    "APPLE_PRODUCTS": "com.example.app.pro.monthly:pro:monthly,com.example.app.old:enterprise",
}
KEY = {
    "APPLE_API_KEY_ID": "ABCDE12345",
    "APPLE_API_ISSUER_ID": "57246542-96fe-1a63-e053-0824d011072a",
    "APPLE_API_PRIVATE_KEY": ServerApiKey().p8.decode(),
}
ROUTES = {
    "/api/payments/apple/validate-receipt",
    "/api/payments/apple/notifications",
    "/api/payments/apple/account-token",
}


def settings(**changes: str) -> Settings:
    return load_settings({**production_environment(NOWHERE, "https://predict.example.com"), **changes})


def payments(**changes: str) -> Payments:
    rules = BillingRules(announce_to([]))
    return assembled(NOWHERE, rules, apple=apple_of(settings(**changes), rules))


def problems(**changes: str) -> set[str]:
    with pytest.raises(SettingsInvalid) as refusal:
        settings(**changes)
    return {problem.partition(" ")[0] for problem in refusal.value.problems}


def paths(**changes: str) -> set[str]:
    return {each.path for each in assemble(settings(**changes)).extensions[OPERATIONS_KEY].values()}


def test_without_an_app_the_routes_do_not_exist() -> None:
    assert not paths() & ROUTES
    client = assemble(settings()).test_client()
    answer = client.post("/api/payments/apple/notifications", json={}, base_url="https://api.example.com")
    assert answer.status_code == 404


def test_with_an_app_they_do() -> None:
    assert paths(**APP) >= ROUTES


def test_the_plans_say_what_the_app_store_sells() -> None:
    client = assemble(settings(**APP, CAPABILITIES="predict")).test_client()  # prices of the others stand in PostgreSQL
    plans = client.get("/api/payments/plans", base_url="https://api.example.com").get_json()["plans"]
    assert [plan["tier"] for plan in plans] == ["free", "plus", "pro", "team", "enterprise"]
    offers = {plan["tier"]: plan["offers"] for plan in plans}
    assert [offer["product_id"] for offer in offers["pro"]] == ["com.example.app.pro.monthly"]
    assert offers["enterprise"] == []


def test_in_production_the_sandbox_is_closed_and_certificates_are_checked_online() -> None:
    apple = payments(**APP, APPLE_SANDBOX_ACCOUNTS="Review@Example.com").apple
    assert apple is not None
    assert not apple.sandbox.everybody
    assert apple.sandbox.accounts == {"review@example.com"}
    assert apple.online_checks


def test_with_a_key_there_is_something_to_reconcile_with() -> None:
    assert payments(**APP).reconcilers == ()
    assert [each.name for each in payments(**APP, **KEY).reconcilers] == [
        "apple_notifications_production",
        "apple_notifications_sandbox",
        "apple_overdue",
    ]


def test_a_key_may_come_with_escaped_line_breaks() -> None:
    escaped = KEY["APPLE_API_PRIVATE_KEY"].replace("\n", "\\n")
    found = settings(**APP, **{**KEY, "APPLE_API_PRIVATE_KEY": escaped}).apple_api_private_key
    assert found is not None
    assert found.get_secret_value() == KEY["APPLE_API_PRIVATE_KEY"]


@pytest.mark.parametrize("name", sorted(APP))
def test_half_an_app_is_refused(name: str) -> None:
    assert name in problems(**{key: value for key, value in APP.items() if key != name})


@pytest.mark.parametrize("name", sorted(KEY))
def test_half_a_key_is_refused(name: str) -> None:
    assert name in problems(**APP, **{key: value for key, value in KEY.items() if key != name})


def an_rsa_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APPLE_PRODUCTS", "a:pro:monthly,a:pro:yearly"),
        ("APPLE_PRODUCTS", "a:gold:monthly"),
        ("APPLE_BUNDLE_ID", "com example"),
        ("APPLE_APP_ID", "0"),
        ("APPLE_API_KEY_ID", "short"),
        ("APPLE_API_ISSUER_ID", "not a uuid"),
        ("APPLE_API_PRIVATE_KEY", "not a key"),
        ("APPLE_API_PRIVATE_KEY", an_rsa_key()),
        ("APPLE_SANDBOX_ACCOUNTS", "nobody"),
    ],
)
def test_a_wrong_form_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        settings(**{**APP, **KEY, name: value})
    assert {problem.partition(" ")[0] for problem in refusal.value.problems} == {name}
    if name == "APPLE_API_PRIVATE_KEY":
        assert value not in str(refusal.value)


@pytest.mark.parametrize("name", ["APPLE_PRODUCTION_URL", "APPLE_SANDBOX_URL"])
def test_another_app_store_is_for_development_alone(name: str) -> None:
    assert problems(**APP, **{name: "http://127.0.0.1:9"}) == {name}


def test_another_root_is_for_development_alone(tmp_path: Path) -> None:
    root = tmp_path / "root.der"
    root.write_bytes(b"root")
    assert problems(**APP, APPLE_ROOT_CERTIFICATE=str(root)) == {"APPLE_ROOT_CERTIFICATE"}


def test_the_pinned_root_is_the_one_that_is_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert len(APPLE_ROOT_SHA256) == 64
    changed = tmp_path / "root.der"
    changed.write_bytes(apple_root_certificate() + b"\0")
    monkeypatch.setattr("payments.apple_validator.APPLE_ROOT", changed)
    with pytest.raises(RootCertificateChanged):
        apple_root_certificate()


def test_a_key_is_not_shown_among_the_settings() -> None:
    body = base64.b64decode("".join(KEY["APPLE_API_PRIVATE_KEY"].splitlines()[1:-1]))
    shown = repr(settings(**APP, **KEY))
    assert base64.b64encode(body).decode()[:20] not in shown

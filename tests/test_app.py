"""The application as a whole: it starts from the environment, and every route is declared, guarded and described."""

import json
import re
import secrets
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import FlaskGroup
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from admin.assembled import ASSEMBLED, Assembled
from app import assemble, create_app
from auth.assembly import Auth
from auth.page_sessions.site import SITES
from auth.rate_limits.anyone_or_signed_in import AnyoneOrSignedIn
from config import Settings, SettingsInvalid, load_settings
from security.api.operation import OPERATIONS_KEY, Anyone, Operation
from settings.web_server import usable_cores
from tests.whole.environment import EVERYTHING, PUBLIC_HOST, WEB_ORIGIN, production_environment

ROOT = Path(__file__).parents[1]
NOWHERE = "postgresql://mirroros@127.0.0.1:1/mirroros"
DOCUMENTED = {
    ("POST", "/api/auth/register"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/api/auth/logout"),
    ("GET", "/api/auth/profile"),
    ("POST", "/api/gateway/predict"),
    ("GET", "/api/gateway/predict/usage"),
    ("GET", "/api/gateway/predict/health"),
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/health/db"),
    ("GET", "/health/redis"),
}
"""What the source document promises. Clients have these addresses built in."""


VERBS = (
    "add|cancel|change|close|confirm|create|credit|delete|download|end|export|finish|follow|get|link|list|mark|pay|reauthenticate|"
    "receive|refresh|refund|regenerate|register|remove|rename|replace|request|resend|reset|restore|resume|revoke|rotate|search|send|"
    "sign|solve|start|stop|test|undo|unlink|update|validate|verify|waive|"
    "explain|optimize|suggest"
)


def production(**changes: str) -> dict[str, str]:
    return {**production_environment(NOWHERE, "https://predict.example.com"), **changes}


@pytest.fixture(scope="module")
def app() -> Flask:
    """Making it connects to nothing, so the addresses lead nowhere."""
    return assemble(load_settings(production()))


def auth_made(environ: dict[str, str]) -> Auth:
    made: Assembled = assemble(load_settings(environ)).extensions[ASSEMBLED]
    return made.auth


def declared(app: Flask) -> list[Operation]:
    """Pages and their files too."""
    return list(app.extensions[OPERATIONS_KEY].values())


def operations(app: Flask) -> list[Operation]:
    """Those that programs call."""
    return [each for each in declared(app) if each.documented]


def test_it_starts_from_the_environment_of_production(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in production().items():
        monkeypatch.setenv(name, value)
    client = create_app().test_client()
    assert client.get("/health/live").status_code == 200
    assert client.get("/health").get_json()["environment"] == "production"


def test_accounts_get_their_time_of_grace_their_web_pages_and_what_others_hold() -> None:
    auth = auth_made(production(ACCOUNT_DELETION_GRACE_DAYS="3"))
    assert auth.settings.deletion_grace == timedelta(days=3)
    assert auth.cookies.pages == {WEB_ORIGIN, f"https://{PUBLIC_HOST}"}
    assert [part.name for part in auth.personal_data] == ["account", "gateway", "payments", "chat", "shop", "terminal"]


@pytest.mark.parametrize("days", ["-1", "31", "x"])
def test_a_time_of_grace_that_is_none_is_refused(days: str) -> None:
    with pytest.raises(SettingsInvalid, match="ACCOUNT_DELETION_GRACE_DAYS"):
        load_settings(production(ACCOUNT_DELETION_GRACE_DAYS=days))


def test_two_applications_of_one_process_share_nothing() -> None:
    first, second = (assemble(load_settings(production())) for _ in range(2))
    first.config["MAX_CONTENT_LENGTH"] = 1
    assert second.config["MAX_CONTENT_LENGTH"] != 1
    assert first.extensions[OPERATIONS_KEY] is not second.extensions[OPERATIONS_KEY]


def test_debug_is_off(app: Flask) -> None:
    assert not app.debug
    assert not app.testing


def test_flask_has_no_key_to_sign_a_session_with(app: Flask) -> None:
    """No route uses Flask's cookie, and one that began to would fail at once instead of trusting it."""
    assert app.secret_key is None


def test_every_route_is_declared(app: Flask) -> None:
    """Pages and their files too: there is no list of exceptions."""
    for each in (app, everything()):
        assert {rule.endpoint for rule in each.url_map.iter_rules()} == set(each.extensions[OPERATIONS_KEY])


def test_every_address_of_the_source_document_is_there(app: Flask) -> None:
    assert {(each.method, each.path) for each in operations(app)} >= DOCUMENTED


def test_who_may_call_is_said_for_every_route(app: Flask) -> None:
    """Open routes give their reason; a site asks for its session, the others for a bearer token, and those of
    products take an API key, where that is said here.
    """
    take_keys = {
        "/api/gateway/predict",
        "/api/gateway/predict/usage",
        "/api/gateway/solve",
        "/api/gateway/usage/requests",
        "/api/gateway/usage/requests.csv",
        "/api/gateway/usage/summary",
    }
    of_orders = {"createOrder", "listOrders", "getOrder", "listOrderEvents"}
    of_chat = ("/api/gateway/chat/", "/api/gateway/openai/", "/api/gateway/conversations", "/api/gateway/commands/")
    for each in (*declared(app), *declared(everything(COMPAT_ROUTES="off"))):
        if each.guard.scheme is None:
            assert getattr(each.guard, "because", ""), each.path
        elif isinstance(each.guard, AnyoneOrSignedIn):
            assert each.guard.anyone.because, each.path
            assert each.guard.scheme == (None, "bearer", "apiKey"), each.path
        else:
            takes_key = each.path in take_keys or each.id in of_orders
            takes_key |= each.path.startswith(of_chat) and each.id != "deleteConversations"
            schemes: str | tuple[str, ...] = ("bearer", "apiKey") if takes_key else "bearer"
            schemes = next((site.scheme for site in SITES if site.has(each.path)), schemes)
            assert (each.guard.scheme, isinstance(each.guard, Anyone)) == (schemes, False), each.path


def test_accounts_and_predictions_need_a_sign_in(app: Flask) -> None:
    signed_in = {(each.method, each.path) for each in operations(app) if each.guard.scheme is not None}
    assert signed_in >= {
        ("GET", "/api/auth/profile"),
        ("POST", "/api/gateway/predict"),
        ("GET", "/api/gateway/predict/usage"),
    }


def test_the_openapi_document_is_valid_and_complete(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").get_json()
    validate(document)
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(each.method, each.path_template) for each in operations(app)}


def test_every_model_has_a_name_of_its_own(app: Flask) -> None:
    """Of two with one name pydantic makes names of their modules, which moves what was published and breaks generated clients."""
    schemas = app.test_client().get("/openapi.json").get_json()["components"]["schemas"]
    assert [name for name in schemas if "__" in name] == []


def test_bounds_have_the_names_of_json_schema(app: Flask) -> None:
    """Pydantic publishes a bound that stands behind a validator as `ge` or `le`, which no generator knows."""
    document = app.test_client().get("/openapi.json").get_data(as_text=True)
    assert re.findall(r'"(?:ge|le|gt|lt|multiple_of)":', document) == []


@cache
def everything(**changes: str) -> Flask:
    """With all that can be switched on."""
    return assemble(load_settings(production(**{**EVERYTHING, "COMPAT_ROUTES": "on", **changes})))


def test_the_document_tells_what_passes_over_sockets() -> None:
    app = everything()
    document = app.test_client().get("/openapi.json").get_json()
    told = document["x-websocket"]
    made: Assembled = app.extensions[ASSEMBLED]
    offered = [each.sockets for each in made.built.values() if each.sockets is not None]
    assert told["paths"].keys() == {each.path or "/socket.io/" for each in offered}
    for each in offered:
        beside = {"auth:refresh"} if each.path is None else {"auth", "ping"}
        described = told["paths"][each.path or "/socket.io/"]
        assert described["from_client"].keys() == beside | {event.name for event in each.events}
        assert described["from_server"].keys() >= each.told.keys()
    messages = told["paths"]["/socket.io/"]
    assert messages["from_server"].keys() > {"auth:expiring", "going_away", "error", "chat:stream", "voice:audio"}
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', json.dumps(told, separators=(",", ":")))):
        found = document
        for step in reference.split("/"):
            found = found[step]
        Draft202012Validator.check_schema(found)


def test_every_operation_id_is_a_verb_and_a_noun_and_the_only_one() -> None:
    ids = [each.id for each in operations(everything())]
    assert len(set(ids)) == len(ids)
    assert [each for each in ids if not re.fullmatch(rf"(?:{VERBS})(?:[A-Z][a-z]+)*", each)] == []
    assert {each for each in ids if re.fullmatch(VERBS, each)} == {"reauthenticate"}


def test_operation_ids_stay_as_they_were_published(app: Flask) -> None:
    """Generated clients name their functions by them. Add new ones here; never change one."""
    ids = {f"{each.method} {each.path_template}": each.id for each in operations(everything())}
    published = [ROOT / "tests/operation_ids.json", *ROOT.glob("capabilities/*/operation_ids.json")]
    assert ids == {path: each for file in published for path, each in json.loads(file.read_text()).items()}


def test_every_operation_says_in_words_what_it_does() -> None:
    for each in operations(everything()):
        assert re.fullmatch("[A-Z].*[^.]", each.summary), each.path
        assert re.fullmatch("[A-Z`].*[.]", each.description, re.DOTALL), each.path
        assert not re.search("letter", each.summary + each.description), each.path


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("/api/payments/stripe/create-checkout-session", "STRIPE_SECRET_KEY"),
        ("/api/payments/stripe/webhook", "STRIPE_WEBHOOK_SECRET"),
        ("/api/payments/apple/validate-receipt", "APPLE_BUNDLE_ID"),
        ("/api/auth/apple", "APPLE_CLIENT_IDS"),
        ("/api/auth/identities/google", "GOOGLE_CLIENT_IDS"),
    ],
)
def test_what_is_switched_off_is_told_developers_with_the_setting(app: Flask, path: str, setting: str) -> None:
    assert (
        app.test_client().post(path, base_url=f"https://{PUBLIC_HOST}").get_json()["detail"]
        == "This is turned off on this server"
    )
    developing = assemble(load_settings({**production(), "FLASK_ENV": "development"}))
    assert setting in developing.test_client().post(path).get_json()["detail"]
    assert "switched off" not in everything().test_client().post(path).get_json()["detail"]


def test_the_plans_are_shown_with_the_words_that_they_are_sold_with() -> None:
    without_prices = assemble(load_settings(production(CAPABILITIES="predict")))  # those of calls are in the database
    answer = without_prices.test_client().get("/api/payments/plans", base_url=f"https://{PUBLIC_HOST}")
    plans = answer.get_json(force=True)["plans"]
    assert {plan["tier"]: (plan["predictions_per_day"], plan["benefits"]) for plan in plans} == {
        "free": (5, ["Basic predictions"]),
        "plus": (25, ["Basic predictions, five times as many"]),
        "pro": (100, ["Enhanced grounding", "Priority support"]),
        "team": (300, ["Enhanced grounding", "Priority support"]),
        "enterprise": (None, ["All features", "Dedicated support"]),
    }


def test_the_document_names_the_address_of_the_api(app: Flask) -> None:
    document = app.test_client().get("/openapi.json").get_json()
    assert document["servers"] == [{"url": f"https://{PUBLIC_HOST}"}]


@pytest.mark.parametrize("mode", ["classic", "private"])
def test_the_document_declares_both_answers_to_a_registration(mode: str) -> None:
    registering = everything(
        REGISTRATION_RESPONSE=mode, EMAIL_HOST="mail.example.com", DEFAULT_FROM_EMAIL="a@example.com"
    )
    declared = next(each for each in operations(registering) if each.path == "/api/auth/register")
    assert set(declared.answers) == {201, 202}


def test_no_description_is_indented(app: Flask) -> None:
    """Indented Markdown is shown as program text."""
    for each in operations(app):
        assert [line for line in each.description.splitlines() if line.startswith(" ")] == [], each.path


@pytest.mark.parametrize("processes", [1, 2, 64])
def test_all_processes_together_hash_no_more_passwords_at_once_than_there_are_cores(processes: int) -> None:
    """Where there are more processes than cores, each still needs one thread."""
    auth = auth_made(production(WEB_CONCURRENCY=str(processes)))
    assert auth.settings.password_threads is not None
    assert 0 < auth.settings.password_threads * processes <= max(usable_cores(), processes)


def test_no_secret_shows_in_the_settings_or_the_configuration() -> None:
    keys = {name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "JWT_SECRET_KEY", "PRIVATE_API_SECRET")}
    settings = load_settings(production(**keys))
    shown = f"{settings!r} {settings} {assemble(settings).config.items()!r}"
    assert Settings.__name__ in shown
    assert [name for name, key in keys.items() if key in shown] == []


@pytest.mark.parametrize(
    "command",
    [
        ["routes"],
        ["openapi"],
        ["worker", "--help"],
        ["config", "show"],
        ["users", "--help"],
        ["bootstrap-demo", "--help"],
        ["reset-database", "--help"],
    ],
)
def test_a_command_is_there(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in production().items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(FlaskGroup(create_app=create_app, load_dotenv=False), command)
    assert done.exit_code == 0, done.output

"""A product is one package and one entry in a tuple: all that names products follows from its declaration."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from admin.assembled import ASSEMBLED, Assembled
from admin.check_production.deployment import Deployment
from app import assemble
from auth.accounts.purge import purge_accounts
from auth.exports.export import collect_export
from auth.principal import Role
from auth.scopes import CORE_SCOPES
from auth.tiers import Tier
from capabilities import CAPABILITIES
from check_settings import env_example, judged_for_production, settings_table
from config import SettingsInvalid, load_settings
from database import db, transaction
from database.base import Base
from metering.app_settings.app_setting import read_setting
from security.metrics.exposition import METRICS, Metrics
from settings.section import own_fields
from tests.admin.dashboard import Dashboard, text_of
from tests.admin.test_every_admin_route import access_token
from tests.auth.accounts_app import PASSWORD, bearer
from tests.databases import MigratedDatabases
from tests.metering.limit_backends import eventually
from tests.toy_capability import TOY, TOY_LIMITS, TOY_PRICE_MICROS
from tests.whole.environment import PUBLIC_HOST, production_environment

ROOT = Path(__file__).parents[1]
BASE = f"https://{PUBLIC_HOST}"
DECLARED = (*CAPABILITIES, TOY)
SECRET_KEY = secrets.token_urlsafe(48)
NOWHERE = "postgresql://mirroros@127.0.0.1:1/mirroros"


def environ(database_url: str = NOWHERE, **changes: str) -> dict[str, str]:
    on = {"CAPABILITIES": "predict,toy", "TOY_MOTTO": "hello", "SECRET_KEY": SECRET_KEY}
    return {**production_environment(database_url, "https://predict.example.com"), **on, **changes}


def application(database_url: str = NOWHERE, **changes: str) -> Flask:
    return assemble(load_settings(environ(database_url, **changes), capabilities=DECLARED), DECLARED)


def made_of(app: Flask) -> Assembled:
    made: Assembled = app.extensions[ASSEMBLED]
    return made


@pytest.fixture(scope="module")
def toy_databases(postgres_server: str, migrated_template: str) -> Iterator[MigratedDatabases]:
    """As after the migration that a product would bring."""
    from tests.toy_capability.models import Toy  # not before it is needed: it adds a table

    table = Toy.__table__
    assert isinstance(table, Table)
    toys = CreateTable(table).compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    with closing(MigratedDatabases(postgres_server, migrated_template, str(toys))) as databases:
        yield databases
    # The other tests of this process compare the database with the tables of the products that there are. The process may come back to
    # this file after some of them, and then it is gone already.
    Base.metadata.remove(table)


@pytest.fixture
def migrated(toy_databases: MigratedDatabases) -> Iterator[str]:
    with toy_databases.one() as url:
        yield url


@pytest.fixture
def on(migrated: str) -> Iterator[Flask]:
    app = application(migrated)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def off(migrated: str) -> Iterator[Flask]:
    """On the same database, with predictions alone."""
    app = application(migrated, CAPABILITIES="predict")
    yield app
    with app.app_context():
        db.engine.dispose()


def register(app: Flask) -> dict[str, Any]:
    credentials = {"email": "alice@example.com", "password": PASSWORD}
    answer = app.test_client().post("/api/auth/register", json=credentials, base_url=BASE)
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def call(app: Flask, method: str, path: str, token: str, body: Any = None) -> Any:
    return app.test_client().open(path, method=method, json=body, headers=bearer(token), base_url=BASE)


def make_key(app: Flask, token: str, *scopes: str) -> Any:
    return call(app, "POST", "/api/auth/tokens", token, {"name": "a robot", "scopes": scopes})


def exported(app: Flask, token: str) -> dict[str, Any]:
    begun = call(app, "POST", "/api/auth/export", token).get_json()
    with app.app_context():
        collect_export(made_of(app).auth, begun["id"])
    parts: dict[str, Any] = call(app, "GET", f"/api/auth/export/{begun['id']}", token).get_json()["parts"]
    return parts


def test_its_route_counts_by_its_limits(on: Flask) -> None:
    token = register(on)["access_token"]
    answers = [call(on, "POST", "/api/toy/wind", token) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[0].get_json() == {"says": "hello"}
    with on.app_context(), transaction() as session:
        counted = {tuple(row) for row in session.execute(text("SELECT feature, unit, used FROM usage_counters"))}
    assert counted == {("toy", "call", 2), ("account", "micros", 2 * TOY_PRICE_MICROS)}


def test_what_it_costs_is_shown_and_held_by_the_budget(on: Flask) -> None:
    token = register(on)["access_token"]
    assert call(on, "POST", "/api/toy/wind", token).status_code == 200
    budget = call(on, "PUT", "/api/gateway/usage/budget", token, {"monthly_cents": 2}).get_json()
    assert (budget["monthly_cents"], budget["used_cents"]) == (2, 1.5)
    refused = call(on, "POST", "/api/toy/wind", token)
    assert (refused.status_code, refused.get_json()["error"]) == (402, "budget_reached")
    assert refused.get_json()["resets_at"] == budget["resets_at"]
    summary = call(on, "GET", "/api/gateway/usage/summary", token).get_json()
    assert summary["requests"] == {"total": 2, "ok": 1, "failed": 1, "free": 1}
    assert (summary["cost_cents"], summary["limits"]["toy"], summary["budget"]) == (1.5, {"per_day": 2}, budget)


def test_a_key_with_its_scope_is_admitted_and_one_without_it_is_not(on: Flask) -> None:
    token = register(on)["access_token"]
    keys = {scope: make_key(on, token, scope).get_json()["token"] for scope in ("toy", "predict", "usage")}
    found = {scope: call(on, "POST", "/api/toy/wind", key).status_code for scope, key in keys.items()}
    assert found == {"toy": 200, "predict": 403, "usage": 403}


def test_a_stored_scope_of_what_is_off_counts_for_nothing_and_comes_back(on: Flask, off: Flask) -> None:
    token = register(on)["access_token"]
    key = make_key(on, token, "toy", "usage").get_json()
    assert key["scopes"] == ["toy", "usage"]
    (listed,) = call(off, "GET", "/api/auth/tokens", token).get_json()["tokens"]
    assert listed["scopes"] == ["usage"]
    assert call(off, "GET", "/api/gateway/predict/usage", key["token"]).status_code == 200
    assert call(off, "POST", "/api/toy/wind", key["token"]).status_code == 404
    rotated = call(off, "POST", f"/api/auth/tokens/{key['id']}/rotate", token, {"overlap": "0"}).get_json()
    assert rotated["scopes"] == ["usage"]
    assert call(on, "POST", "/api/toy/wind", rotated["token"]).status_code == 200


@pytest.mark.parametrize("stored", ["{solve}", "{}", "{solve,toy}"])
def test_a_key_that_is_left_without_a_scope_is_refused(on: Flask, off: Flask, stored: str) -> None:
    token = register(on)["access_token"]
    key = make_key(on, token, "toy").get_json()
    with on.app_context(), transaction() as session:
        session.execute(text("UPDATE api_keys SET scopes = :stored"), {"stored": stored})
    refused = call(off, "GET", "/api/gateway/predict/usage", key["token"])
    assert (refused.status_code, refused.get_json()["error"]) == (403, "insufficient_scope")
    assert call(off, "GET", "/api/auth/tokens", token).get_json()["tokens"][0]["scopes"] == []


@pytest.mark.parametrize("scope", ["toy", "solve", ""])
def test_no_key_is_made_with_a_scope_that_there_is_not(off: Flask, scope: str) -> None:
    token = register(off)["access_token"]
    answer = make_key(off, token, "usage", scope)
    assert (answer.status_code, answer.get_json()["errors"][0]["pointer"]) == (422, "/scopes/1")


@pytest.mark.parametrize("switched_off", [False, True])
def test_an_export_has_what_it_holds(on: Flask, off: Flask, *, switched_off: bool) -> None:
    token = register(on)["access_token"]
    assert call(on, "POST", "/api/toy/wind", token).status_code == 200
    assert len(exported(off if switched_off else on, token)["toy"]["toys"]) == 1


@pytest.mark.parametrize("switched_off", [False, True])
def test_what_it_holds_goes_with_the_account(on: Flask, off: Flask, *, switched_off: bool) -> None:
    alice = register(on)
    assert call(on, "POST", "/api/toy/wind", alice["access_token"]).status_code == 200
    with on.app_context(), transaction() as session:
        session.execute(text("UPDATE users SET is_active = false, delete_after = '2000-01-01'"))
    worker = off if switched_off else on
    with worker.app_context():
        assert purge_accounts(made_of(worker).auth) == 1
        with transaction() as session:
            assert session.execute(text("SELECT count(*) FROM toys")).scalar_one() == 0


def test_its_job_is_one_of_the_workers_and_its_command_one_of_flask(on: Flask) -> None:
    token = register(on)["access_token"]
    assert call(on, "POST", "/api/toy/wind", token).status_code == 200
    with on.app_context(), transaction() as session:
        session.execute(text("UPDATE toys SET wound_at = '2000-01-01'"))
    assert on.test_cli_runner().invoke(args=["toys"]).output == "1\n"
    with on.app_context():
        assert made_of(on).jobs.declared["forget_toys"].run() == 1
    assert on.test_cli_runner().invoke(args=["toys"]).output == "0\n"


def test_its_health_is_a_part_of_the_whole(on: Flask) -> None:
    assert "toy_box" in on.test_client().get("/health/ready", base_url=BASE).text


def test_its_check_is_one_of_those_of_a_deployment() -> None:
    settings = load_settings(environ(), capabilities=DECLARED)
    app = assemble(settings, DECLARED)
    deployment = Deployment(app, settings, made_of(app), judged_for_production)
    assert "toy box" in [check.name for check in deployment.checks()]


@pytest.mark.slow
def test_its_metrics_are_shown_with_those_of_its_calls(on: Flask, off: Flask) -> None:
    wound_up = samples_of(on)["mirroros_toys_wound_up_total"]
    token = register(on)["access_token"]
    answers = [call(on, "POST", "/api/toy/wind", token).status_code for _ in range(3)]
    assert answers == [200, 200, 429]
    metrics = samples_of(on)
    assert metrics["mirroros_toys_wound_up_total"] == wound_up + 2
    # What PostgreSQL knows is a second old at most.
    assert eventually(lambda: samples_of(on)["mirroros_toys"] or None) == 2
    assert metrics["mirroros_toy_springs"] == 8
    assert metrics['mirroros_calls_in_flight_limit{upstream="toy"}'] == 8
    assert metrics['mirroros_upstream_duration_seconds_count{feature="toy",outcome="delivered"}'] >= 2
    assert metrics['mirroros_limit_decisions_total{decision="refused",feature="toy",policy="day"}'] >= 1
    assert metrics['mirroros_part_up{part="toy_box"}'] == 1
    assert "mirroros_toys" not in samples_of(off)


def samples_of(app: Flask) -> dict[str, float]:
    metrics: Metrics = app.extensions[METRICS]
    lines = [line.rpartition(" ") for line in metrics.text().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_its_pages_are_in_the_dashboard_for_those_who_may_open_them(on: Flask, off: Flask) -> None:
    support = Dashboard(on).staff(Role.SUPPORT)
    assert '<a href="/admin/toys">Toys</a>' in support.get("/admin").text
    assert "Nobody has wound up a toy." in text_of(support.get("/admin/toys?user_id=&done="))
    assert support.get("/admin/toys?colour=red").status_code == 422
    assert 'href="/admin/toys"' not in Dashboard(off).staff().get("/admin").text


def test_a_form_of_its_pages_acts_once_it_is_filled_in(on: Flask) -> None:
    user_id = register(on)["user"]["id"]
    admin, path = Dashboard(on).staff(Role.ADMIN), f"/admin/toys/{user_id}/take"
    again = admin.post(path, {"reason": "<short>"})
    assert again.status_code == 422
    assert ("&lt;short&gt;" in again.text, "at least 10 characters" in text_of(again)) == (True, True)
    taken = admin.post(path, {"reason": "asked for it by e-mail"})
    assert (taken.status_code, taken.headers["Location"]) == (303, "/admin/toys?done=taken")
    assert "The toys are gone." in text_of(admin.get("/admin/toys?done=taken"))
    admin.grow_old(minutes=6)
    assert (admin.get(path).status_code, admin.post(path).status_code) == (401, 401)


def test_the_plans_say_what_may_be_used_of_it() -> None:
    plans = application().test_client().get("/api/payments/plans", base_url=BASE).get_json()["plans"]
    found = {plan["tier"]: plan["limits"]["toy"] for plan in plans}
    assert found == {tier.value: {"per_day": TOY_LIMITS[tier].per_day} for tier in Tier}
    assert plans[0]["limits"]["predict"] == {"per_day": 5, "burst": 10, "burst_seconds": 60, "concurrency": 2}


def test_the_document_has_its_route_its_tag_and_its_scope() -> None:
    document = application().test_client().get("/openapi.json", base_url=BASE).get_json()
    assert document["paths"]["/api/toy/wind"]["post"]["tags"] == ["toy"]
    assert {"name": "toy", "description": TOY.title} in document["tags"]
    assert document["components"]["schemas"]["Scope"]["enum"] == ["usage", "predict", "toy"]
    assert "`toy`: Wind up toys." in json.dumps(document["components"]["schemas"]["CreateKeyBody"])


def test_its_settings_are_checked_documented_and_shown() -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        load_settings(environ(TOY_MOTTO="", SECRET_KEY="short"), capabilities=DECLARED)
    assert [each.partition(" ")[0] for each in refusal.value.problems] == ["SECRET_KEY", "TOY_MOTTO"]
    assert "| `TOY_MOTTO` |  | What a toy says when it is wound up. |" in settings_table(DECLARED)
    assert "# TOY_MOTTO=hello" in env_example(DECLARED)
    assert "# --- Toys ---" in env_example(DECLARED)


def test_what_is_off_needs_no_settings_and_nobody_reads_them() -> None:
    assert load_settings(environ(CAPABILITIES="predict", TOY_MOTTO='"quoted"'), capabilities=DECLARED)
    without = {name: text for name, text in environ(CAPABILITIES="toy").items() if not name.startswith("PRIVATE_")}
    app = assemble(load_settings(without, capabilities=DECLARED), DECLARED)
    plans = app.test_client().get("/api/payments/plans", base_url=BASE).get_json()["plans"]
    assert {plan["predictions_per_day"] for plan in plans} == {0}
    assert {frozenset(plan["limits"]) for plan in plans} == {frozenset({"toy"})}


@pytest.mark.parametrize("names", ["predict,tou", "tou", '"predict"'])
def test_a_name_that_no_product_has_stops_the_start(names: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        load_settings(environ(CAPABILITIES=names, PORT="x"), capabilities=DECLARED)
    assert [each.partition(" ")[0] for each in refusal.value.problems] == ["CAPABILITIES", "PORT"]


def test_no_guard_is_made_for_a_scope_that_nobody_declared() -> None:
    auth = made_of(application(CAPABILITIES="predict")).auth
    for guard in (auth.metered, auth.signed_in_or_key):
        with pytest.raises(ValueError, match="toy"):
            guard("toy")


def test_guards_of_all_scopes_share_what_they_know_of_callers() -> None:
    auth = made_of(application()).auth
    assert auth.metered("toy").remembered is auth.metered("predict").remembered


HEAVY = [
    *("gateway.assembly", "providers.assembly", "tests.toy_capability.assembly", "tests.toy_capability.models"),
    *("realtime.assembly", "socketio", "engineio", "uvicorn", "uvloop", "httptools", "websockets"),
    *("markdown_it", "nh3"),
]
OFF = """
import os
import sys
from tests.test_toy_capability import DECLARED, HEAVY, environ
from admin.assembled import ASSEMBLED
from app import assemble
from config import load_settings
assert not set(HEAVY) & sys.modules.keys()
for on in ("predict", "toy"):
    if os.fork():  # what a child loads the other one does not see
        os.wait()
        continue
    app = assemble(load_settings(environ(CAPABILITIES=on), capabilities=DECLARED), DECLARED)
    loaded = [name for name in HEAVY if name in sys.modules]
    api = [rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith(('/api/toy', '/api/gateway/predict'))]
    jobs = [name for name in app.extensions[ASSEMBLED].jobs.declared if 'toy' in name]
    print(loaded, sorted({path.split('/')[2] for path in api}), jobs, 'toys' in app.cli.commands, flush=True)
    os._exit(0)
"""


@pytest.mark.slow
def test_nothing_of_what_is_off_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", OFF], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "['gateway.assembly'] ['gateway'] [] False",
        "['tests.toy_capability.assembly', 'tests.toy_capability.models'] ['toy'] ['forget_toys'] True",
    ], done.stderr


def test_no_two_products_share_a_name_a_feature_or_a_scope() -> None:
    named = [each.name for each in DECLARED]
    scopes = [*CORE_SCOPES, *(scope for each in DECLARED for scope in each.scopes)]
    features = [feature for each in DECLARED for feature in each.limits[Tier.FREE]]
    assert all(len(set(names)) == len(names) for names in (named, scopes, features))
    assert all(set(each.limits) == set(Tier) for each in DECLARED)


def test_variables_of_a_product_begin_with_its_name() -> None:
    """Those of predictions are older than this rule, and one of solving is known by this name from elsewhere."""
    others: dict[str, tuple[str, ...]] = {
        "predict": ("private_api_", "predict_"),
        "solve": ("solve_", "cost_per_request_"),
        "commands": ("openrouter_",),
    }
    for each in (*CAPABILITIES, TOY):
        if each.settings is not None:
            begin = others.get(each.name, (f"{each.name}_",))
            assert [name for name in own_fields(each.settings) if not name.startswith(begin)] == []


def test_its_app_setting_is_changed_on_a_page_over_http_and_by_a_command(on: Flask) -> None:
    dashboard = Dashboard(on)
    admin, path = dashboard.staff(Role.ADMIN), "/admin/settings/toy_price_cents"
    assert "not set Toys are free" in text_of(admin.get("/admin/settings"))
    refused = admin.post(path, {"value": "-5", "reason": "a better price"})
    assert (refused.status_code, "Enter a number of cents" in text_of(refused)) == (422, True)
    assert admin.post(path, {"value": "250", "reason": "a better price"}).status_code == 303
    assert "250" in text_of(admin.get("/admin/settings"))
    token = bearer(access_token(dashboard, admin))
    client = on.test_client()

    def put(value: Any, name: str = "toy_price_cents") -> Any:
        return client.put(f"/api/admin/settings/{name}", json={"value": value}, headers=token, base_url=BASE)

    for wrong in (-1, "many", True, [1]):
        assert put(wrong).status_code == 422
    assert (put(0).get_json()["value"], put(0).status_code, put(1, "colour").status_code) == (0, 200, 404)
    (listed,) = client.get("/api/admin/settings", headers=token, base_url=BASE).get_json()["settings"]
    assert (listed["name"], listed["value"], listed["updated_by"]) == ("toy_price_cents", 0, str(admin.user_id))
    cli = on.test_cli_runner()
    assert cli.invoke(args=["settings", "set", "toy_price_cents", "free"]).exit_code == 2
    assert cli.invoke(args=["settings", "set", "toy_price_cents", "300"]).exit_code == 0
    assert "toy_price_cents  300" in cli.invoke(args=["settings", "list"]).output
    with on.app_context():
        from tests.toy_capability.assembly import TOY_PRICE

        assert read_setting(db.engine, TOY_PRICE) == 300
    assert cli.invoke(args=["settings", "set", "toy_price_cents", "null"]).exit_code == 0
    assert put(None).get_json()["value"] is None
    changes = dashboard.query("SELECT detail FROM security_events WHERE event = 'app_setting_changed' ORDER BY id")
    assert [(each["before"], each["after"]) for (each,) in changes] == [(None, 250), (250, 0), (0, 300), (300, None)]


def test_only_admins_change_an_app_setting(on: Flask) -> None:
    dashboard = Dashboard(on)
    support, path = dashboard.staff(Role.SUPPORT), "/admin/settings/toy_price_cents"
    assert [support.get(path).status_code, support.post(path, {"value": "1"}).status_code] == [403, 403]
    token = bearer(access_token(dashboard, support))
    sent = on.test_client().put(f"/api{path}", json={"value": 1}, headers=token, base_url=BASE)
    assert (sent.status_code, dashboard.query("SELECT * FROM app_settings")) == (403, [])
    admin = dashboard.staff()
    assert admin.post(path, {"value": "1", "reason": "a better price"}, csrf=False).status_code == 403

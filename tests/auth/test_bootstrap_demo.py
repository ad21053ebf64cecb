"""flask bootstrap-demo"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from click.testing import Result

from auth.operators import demo
from auth.operators.demo import demo_command
from security.edge.client_address import client_address
from settings.section import Environment
from tests.auth.accounts_app import PASSWORD, Accounts
from tests.auth.conftest import MakeAccounts

LOCAL = "http://localhost:8000"


def run(accounts: Accounts, *options: str, environment: Environment = Environment.DEVELOPMENT) -> Result:
    return accounts.app.test_cli_runner().invoke(demo_command(accounts.auth, environment), options)


def printed(done: Result) -> dict[str, list[str]]:
    assert done.exit_code == 0, done.output
    return {line.split()[0]: line.split()[1:] for line in done.output.splitlines()[-4:]}


@pytest.fixture
def accounts(make_accounts: MakeAccounts) -> Accounts:
    return make_accounts(registration_mode="invite", issuer=LOCAL)


def register(accounts: Accounts, code: str, email: str = "alice@example.com") -> int:
    return accounts.post("/register", {"email": email, "password": PASSWORD, "invite_code": code}).status_code


def owner_of(accounts: Accounts, token: str) -> str:
    with accounts.app.test_request_context():
        return str(accounts.auth.api_keys.admit(token, "predict", client_address).user_id)


def test_a_demonstration_has_an_admin_a_user_with_an_api_key_and_an_invite(accounts: Accounts) -> None:
    made = printed(run(accounts))
    for role in ("admin", "user"):
        assert accounts.sign_in(*made[role]).status_code == 200
    assert [row.role for row in accounts.query("SELECT role FROM users ORDER BY role")] == ["admin", "user"]
    owner = owner_of(accounts, made["API-key"][0])
    assert accounts.query("SELECT id::text FROM users WHERE role = 'user'") == [(owner,)]
    assert register(accounts, made["invite"][0]) == 201


def test_each_demonstration_is_a_new_one(accounts: Accounts) -> None:
    assert printed(run(accounts)) != printed(run(accounts))


@pytest.mark.parametrize("options", [(), ("--well-known",)], ids=str)
def test_production_has_no_demonstration(accounts: Accounts, options: tuple[str, ...]) -> None:
    assert run(accounts, *options, environment=Environment.PRODUCTION).exit_code == 1
    assert accounts.query("SELECT count(*) FROM users") == [(0,)]


def test_the_well_known_one_is_the_documented_one(accounts: Accounts) -> None:
    made = printed(run(accounts, "--well-known"))
    assert made["admin"] == ["admin@example.com", "admin123"]
    assert made["user"] == ["user@example.com", "user123"]
    assert made["invite"] == ["DEMO1234"]
    assert accounts.sign_in("admin@example.com", "admin123").status_code == 200
    user = accounts.sign_in("user@example.com", "user123").get_json()["user"]
    assert (user["id"], user["is_verified"]) == (owner_of(accounts, made["API-key"][0]), True)
    assert register(accounts, "DEMO1234") == 201


def test_a_second_run_makes_it_good_again(accounts: Accounts) -> None:
    token = printed(run(accounts, "--well-known"))["API-key"][0]
    assert register(accounts, "DEMO1234") == 201
    accounts.query("UPDATE users SET password_hash = NULL, is_active = false WHERE email = 'user@example.com'")
    assert printed(run(accounts, "--well-known"))["API-key"] == ["printed", "by", "an", "earlier", "run"]
    assert accounts.sign_in("user@example.com", "user123").status_code == 200
    assert register(accounts, "DEMO1234", "bob@example.com") == 201
    assert owner_of(accounts, token)
    assert accounts.query("SELECT count(*) FROM api_keys") == [(1,)]
    assert accounts.query("SELECT count(*) FROM invites") == [(1,)]


def test_of_two_at_once_with_the_known_code_one_wins(accounts: Accounts) -> None:
    run(accounts, "--well-known")
    start = Barrier(2)

    def attempt(number: int) -> int:
        start.wait()
        while (status := register(accounts, "DEMO1234", f"user{number}@example.com")) == 503:
            pass
        return status

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(attempt, range(2))) == [201, 400]


def test_it_is_refused_outside_development(accounts: Accounts) -> None:
    done = run(accounts, "--well-known", environment=Environment.STAGING)
    assert (done.exit_code, done.output) == (
        1,
        "Error: --well-known is only for development, and FLASK_ENV is staging.\n",
    )
    assert accounts.query("SELECT count(*) FROM users") == [(0,)]


def test_it_is_refused_where_others_reach_the_application(make_accounts: MakeAccounts) -> None:
    done = run(make_accounts(issuer="https://api.example.com"), "--well-known")
    assert (done.exit_code, "PUBLIC_BASE_URL leads to api.example.com" in done.output) == (1, True)


def test_it_is_refused_for_the_database_of_another_machine(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's machine that is connected to production's database. Here, loopback is taken to be another machine."""
    monkeypatch.setattr(demo, "LOOPBACK", frozenset({"localhost"}))
    done = run(accounts, "--well-known")
    assert (done.exit_code, "DATABASE_URL leads to" in done.output) == (1, True)
    assert accounts.query("SELECT count(*) FROM users") == [(0,)]

"""`flask users`: what operators do to accounts."""

import secrets
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from click.testing import Result

from app import assemble
from auth.operators.commands import user_commands
from config import load_settings
from payments.subscriptions.grant_manually import grant_by_hand
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.factor_owner import FactorOwner
from tests.auth.key_holder import KeyHolder

ADMIN_PASSWORD = f"canoe {secrets.token_hex(8)}"


class Operator:
    """Somebody at the command line of the application."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        accounts.app.cli.add_command(user_commands(accounts.auth, grant_by_hand))

    def users(self, *arguments: str, typed: str = "") -> Result:
        return self.accounts.app.test_cli_runner().invoke(args=["users", *arguments], input=typed)

    def succeed(self, *arguments: str, typed: str = "") -> str:
        done = self.users(*arguments, typed=typed)
        assert done.exit_code == 0, done.output
        return done.output

    def last_event(self) -> tuple[str, dict[str, Any]]:
        (row,) = self.accounts.query("SELECT event, detail FROM security_events ORDER BY id DESC LIMIT 1")
        return row.event, row.detail

    def user(self, email: str = "alice@example.com") -> Any:
        return self.accounts.query("SELECT * FROM users WHERE email = :email", email=email)[0]


@pytest.fixture
def operator(accounts: Accounts) -> Operator:
    return Operator(accounts)


# --- create-admin -----------------------------------------------------------------------------------------------------


def test_an_admin_is_made_with_a_password_that_is_asked_for_twice(operator: Operator) -> None:
    output = operator.succeed("create-admin", "root@example.com", typed=f"{ADMIN_PASSWORD}\n{ADMIN_PASSWORD}\n")
    assert ADMIN_PASSWORD not in output
    assert (operator.user("root@example.com").role, operator.user("root@example.com").is_verified) == ("admin", True)
    token = operator.accounts.sign_in("root@example.com", ADMIN_PASSWORD).get_json()["access_token"]
    answer = operator.accounts.client.get("/api/auth/admin/security-events", headers=bearer(token))
    assert answer.status_code == 200
    registered = answer.get_json()["events"][-1]
    assert (registered["event"], registered["detail"]) == ("registered", {"by": "operator", "role": "admin"})


def test_it_is_a_command_of_its_own_too() -> None:
    application = assemble(load_settings({"DATABASE_URL": "postgresql://mirroros@127.0.0.1:1/mirroros"}))
    users = application.cli.commands["users"]
    assert isinstance(users, click.Group)
    assert application.cli.commands["create-admin"] is users.commands["create-admin"]


def test_the_password_can_come_from_standard_input(operator: Operator) -> None:
    operator.succeed("create-admin", "--password-stdin", "root@example.com", typed=f"{ADMIN_PASSWORD}\n")
    assert operator.accounts.sign_in("root@example.com", ADMIN_PASSWORD).status_code == 200


def test_the_password_is_no_argument(operator: Operator) -> None:
    assert operator.users("create-admin", "root@example.com", ADMIN_PASSWORD).exit_code == 2
    assert operator.users("create-admin", "root@example.com", "--password", ADMIN_PASSWORD).exit_code == 2


@pytest.mark.parametrize("password", ["", "short", "password1234", "root root root"])
def test_a_password_that_is_easy_to_guess_makes_no_admin(operator: Operator, password: str) -> None:
    done = operator.users("create-admin", "--password-stdin", "root@example.com", typed=f"{password}\n")
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert operator.accounts.query("SELECT count(*) FROM users")[0][0] == 0


def test_two_passwords_that_differ_make_no_admin(operator: Operator) -> None:
    done = operator.users("create-admin", "root@example.com", typed=f"{ADMIN_PASSWORD}\n{PASSWORD}\n")
    assert done.exit_code == 1
    assert operator.accounts.query("SELECT count(*) FROM users")[0][0] == 0


def test_an_account_that_exists_is_not_taken_over(operator: Operator) -> None:
    operator.accounts.register()
    done = operator.users("create-admin", "--password-stdin", "Alice@example.com", typed=f"{ADMIN_PASSWORD}\n")
    assert done.exit_code == 1
    assert "set-role" in done.output
    assert operator.user().role == "user"
    assert operator.accounts.sign_in().status_code == 200


# --- every change counts at once and is written down ------------------------------------------------------------------


def test_a_role_counts_in_the_next_request(operator: Operator) -> None:
    headers = bearer(operator.accounts.register()["access_token"])
    path = "/api/auth/admin/security-events"
    assert operator.accounts.client.get(path, headers=headers).status_code == 403
    operator.succeed("set-role", "alice@example.com", "admin")
    assert operator.last_event() == ("role_changed", {"by": "operator", "role": "admin", "before": "user"})
    assert operator.accounts.client.get(path, headers=headers).status_code == 200
    operator.succeed("set-role", "alice@example.com", "user")
    assert operator.accounts.client.get(path, headers=headers).status_code == 403


def test_a_tier_counts_in_the_next_request_until_it_ends(operator: Operator) -> None:
    accounts = operator.accounts
    token = accounts.register()["access_token"]
    accounts.clock.now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    token = accounts.sign_in().get_json()["access_token"]
    assert accounts.profile(token).get_json()["tier"] == "free"
    operator.succeed("set-tier", "alice@example.com", "pro", "--until", "2026-01-02")
    assert accounts.profile(token).get_json()["tier"] == "pro"
    detail = {"by": "operator", "tier": "pro", "until": "2026-01-02T00:00:00+00:00", "source": "manual"}
    assert operator.last_event() == ("tier_changed", detail)
    accounts.clock.now = datetime(2026, 1, 2, tzinfo=UTC)
    token = accounts.sign_in().get_json()["access_token"]
    assert accounts.profile(token).get_json()["tier"] == "free"


@pytest.mark.parametrize(
    "arguments",
    [("pro", "--until", "2001-01-01"), ("free", "--until", "2999-01-01"), ("pro", "--until", "soon"), ("gold",)],
    ids=str,
)
def test_a_tier_that_makes_no_sense_is_refused(operator: Operator, arguments: tuple[str, ...]) -> None:
    operator.accounts.register()
    assert operator.users("set-tier", "alice@example.com", *arguments).exit_code == 2
    assert operator.last_event()[0] == "registered"


def test_a_disabled_account_is_out_within_one_request_and_for_good(operator: Operator) -> None:
    accounts = operator.accounts
    alice = accounts.register()
    assert accounts.profile(alice["access_token"]).status_code == 200
    operator.succeed("disable", "alice@example.com")
    assert operator.last_event() == ("account_disabled", {"by": "operator", "sessions_ended": 1})
    assert accounts.profile(alice["access_token"]).status_code == 401
    assert accounts.refresh(alice["refresh_token"]).status_code == 401
    assert accounts.sign_in().status_code == 403
    operator.succeed("enable", "alice@example.com")
    assert operator.last_event() == ("account_enabled", {"by": "operator"})
    assert accounts.profile(alice["access_token"]).status_code == 401
    assert accounts.refresh(alice["refresh_token"]).status_code == 401
    assert accounts.sign_in().status_code == 200


def test_keys_of_a_disabled_account_do_not_work_again_when_it_is_enabled(operator: Operator) -> None:
    holder = KeyHolder(operator.accounts)
    token = holder.key()["token"]
    assert holder.use(token).status_code == 200
    operator.succeed("disable", "alice@example.com")
    assert operator.last_event()[1] == {"by": "operator", "sessions_ended": 1, "api_keys_revoked": 1}
    operator.succeed("enable", "alice@example.com")
    assert holder.use(token).status_code == 401


def test_an_owner_who_lost_the_second_factor_gets_in_with_the_password_again(operator: Operator) -> None:
    accounts = operator.accounts
    alice = FactorOwner(accounts)
    alice.turn_on_totp()
    passkey = alice.add_passkey()
    accounts.clock.advance(days=400)
    waiting = alice.begin_sign_in()
    accounts.messages()
    output = operator.succeed("reset-second-factor", "alice@example.com")
    assert "Removed the second factors of alice@example.com" in output
    detail = {"by": "operator", "sessions_ended": 1, "factors_removed": 2}
    assert operator.last_event() == ("second_factor_reset", detail)
    assert [message["Subject"] for message in accounts.messages()] == ["Your second factor was reset"]
    assert accounts.profile(alice.access_token).status_code == 401
    assert alice.finish(waiting, totp_code=alice.code()).status_code == 401
    options = accounts.post("/passkeys/sign-in/options").get_json()["options"]
    assert accounts.post("/passkeys/sign-in", {"credential": passkey.get(options)}).status_code == 401
    assert accounts.query("SELECT count(*) FROM recovery_codes") == [(0,)]
    assert accounts.sign_in().status_code == 200


def test_an_account_without_a_second_factor_has_none_to_reset(operator: Operator) -> None:
    token = operator.accounts.register()["access_token"]
    done = operator.users("reset-second-factor", "alice@example.com")
    assert (done.exit_code, done.output) == (1, "Error: Nothing to change.\n")
    assert operator.accounts.profile(token).status_code == 200


def test_an_account_that_its_owner_closed_can_be_disabled_and_is_then_not_restored(operator: Operator) -> None:
    accounts = operator.accounts
    alice = accounts.register()
    assert accounts.client.delete("/api/auth/profile", headers=bearer(alice["access_token"])).status_code == 200
    operator.succeed("disable", "alice@example.com")
    restored = accounts.post("/profile/restore", {"email": "alice@example.com", "password": PASSWORD})
    assert (restored.status_code, restored.get_json()["error"]) == (403, "account_disabled")


def test_the_user_sees_that_the_operators_did_it(operator: Operator) -> None:
    token = operator.accounts.register()["access_token"]
    operator.succeed("set-tier", "alice@example.com", "pro")
    answer = operator.accounts.client.get("/api/auth/security-events", headers=bearer(token))
    seen = {event["event"]: event["by_staff"] for event in answer.get_json()["events"]}
    assert seen == {"registered": False, "tier_changed": True}


@pytest.mark.parametrize("command", ["show", "disable", "enable", "set-role", "set-tier", "reset-second-factor"])
def test_an_address_without_an_account_changes_nothing(operator: Operator, command: str) -> None:
    more = {"set-role": ("admin",), "set-tier": ("pro",)}.get(command, ())
    done = operator.users(command, "nobody@example.com", *more)
    assert (done.exit_code, done.output) == (1, "Error: No account uses this e-mail address.\n")
    assert operator.accounts.events() == []


@pytest.mark.parametrize(("command", "more"), [("enable", ()), ("set-role", ("user",))])
def test_what_is_so_already_is_said_and_not_written_down(
    operator: Operator, command: str, more: tuple[str, ...]
) -> None:
    operator.accounts.register()
    done = operator.users(command, "alice@example.com", *more)
    assert (done.exit_code, done.output) == (1, "Error: Nothing to change.\n")
    assert operator.accounts.events() == ["registered"]


def test_what_is_no_address_is_a_mistake_in_the_command(operator: Operator) -> None:
    assert operator.users("show", "alice").exit_code == 2


def test_an_account_is_shown_without_anything_secret(operator: Operator) -> None:
    signed_in = operator.accounts.register()
    operator.succeed("set-tier", "alice@example.com", "pro", "--until", "2999-01-01")
    output = operator.succeed("show", "ALICE@example.com")
    shown = dict(line.split(maxsplit=1) for line in output.splitlines() if not line.startswith("last"))
    assert shown["id"] == signed_in["user"]["id"]
    assert shown["tier"] == "pro until 2999-01-01 00:00 UTC (manual)"
    assert (shown["role"], shown["active"], shown["sessions"]) == ("user", "yes", "1")
    assert operator.user().password_hash not in output

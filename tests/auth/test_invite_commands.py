"""flask invites create, list, revoke"""

import re
import uuid

import pytest
from click.testing import Result

from auth.invites.commands import invite_commands
from tests.auth.accounts_app import PASSWORD, Accounts
from tests.auth.conftest import MakeAccounts


@pytest.fixture
def accounts(make_accounts: MakeAccounts) -> Accounts:
    return make_accounts(registration_mode="invite")


def run(accounts: Accounts, *arguments: str) -> Result:
    return accounts.app.test_cli_runner().invoke(invite_commands(accounts.auth), arguments)


def the_id(accounts: Accounts) -> str:
    return str(accounts.query("SELECT id FROM invites")[0][0])


def create(accounts: Accounts, *options: str) -> str:
    return run(accounts, "create", *options).stdout.splitlines()[-1]


def test_create_prints_the_code_in_the_last_line(accounts: Accounts) -> None:
    made = run(accounts, "create", "--uses", "3", "--days", "7")
    assert made.exit_code == 0
    *_, summary, code = made.stdout.splitlines()
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", code)
    assert summary.startswith("Valid for 3 account(s)")
    assert summary.endswith(the_id(accounts))
    assert accounts.events() == ["invite_created"]


def test_list_shows_every_invite_without_its_code(accounts: Accounts) -> None:
    code = create(accounts, "--note", "for the launch", "--by", "alice")
    create(accounts, "--uses", "2", "--days", "1")
    accounts.post("/register", {"email": "bob@example.com", "password": PASSWORD, "invite_code": code})
    accounts.clock.advance(days=2)
    listed = run(accounts, "list").stdout.splitlines()
    until = [f"{row[0]:%Y-%m-%d}" for row in accounts.query("SELECT expires_at FROM invites ORDER BY id DESC")]
    assert [re.sub(r"^[0-9a-f-]{36}  ", "", line) for line in listed] == [
        f"expired  0/2  until {until[0]}",
        f"used up  1/1  until {until[1]}  by alice  for the launch",
    ]
    assert code not in "".join(listed)


def test_a_revoked_code_is_good_for_nothing_and_its_accounts_stay(accounts: Accounts) -> None:
    code = create(accounts, "--uses", "2")
    body = {"email": "alice@example.com", "password": PASSWORD, "invite_code": code}
    assert accounts.post("/register", body).status_code == 201
    for _ in range(2):
        assert run(accounts, "revoke", the_id(accounts)).exit_code == 0
    assert accounts.post("/register", {**body, "email": "bob@example.com"}).status_code == 400
    assert accounts.sign_in().status_code == 200
    assert accounts.events().count("invite_revoked") == 1
    assert "revoked  1/2" in run(accounts, "list").stdout


def test_an_invite_that_does_not_exist_is_said_to(accounts: Accounts) -> None:
    answer = run(accounts, "revoke", str(uuid.uuid4()))
    assert (answer.exit_code, "No invite has this ID" in answer.output) == (1, True)


@pytest.mark.parametrize("options", [("--uses", "0"), ("--days", "0"), ("--days", "366"), ("--uses", "x")], ids=str)
def test_options_beyond_their_bounds_make_no_code(accounts: Accounts, options: tuple[str, str]) -> None:
    assert run(accounts, "create", *options).exit_code == 2
    assert accounts.query("SELECT count(*) FROM invites") == [(0,)]

"""Whatever takes a permission away raises the version of the account's state, and says so after its commit."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from auth.account_change import Refused, account_change
from auth.models import User
from auth.tiers import Tier
from security.edge.problems import NotFound
from tests.auth.accounts_app import Accounts
from tests.auth.key_holder import KeyHolder
from tests.auth.test_account_state import copy_of, ids, read_tier

ROOT = Path(__file__).resolve().parent.parent.parent
PERMISSION_RESTS_ON = frozenset({"is_active", "role", "tier", "tier_expires_at", "revoked_at"})
"""Columns of `users`, `sessions` and `api_keys`."""
OF_SOMETHING_ELSE = {"auth/invites/revoke.py"}
"""Invites have a `revoked_at` too."""


class Failed(Exception):
    pass


def version_of(accounts: Accounts) -> int:
    return int(accounts.query("SELECT state_version FROM users")[0][0])


def test_a_change_is_announced_when_it_is_committed_and_not_before(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    user_id, _ = ids(accounts, token)
    assert read_tier(accounts, token) == Tier.FREE
    with accounts.app.app_context(), account_change(accounts.auth.states, accounts.clock()) as change:
        user = change.hold(User.id == user_id)
        assert user is not None
        user.tier = "pro"
        change.permission_changed(user_id)
        assert copy_of(accounts, user_id)[b"v"] == b"1"
    assert copy_of(accounts, user_id) == {b"v": b"2"}
    assert read_tier(accounts, token) == Tier.PRO


def test_a_change_that_is_rolled_back_is_not_announced(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    user_id, _ = ids(accounts, token)
    read_tier(accounts, token)
    before = copy_of(accounts, user_id)
    with (
        accounts.app.app_context(),
        pytest.raises(Failed),
        account_change(accounts.auth.states, accounts.clock()) as change,
    ):
        change.permission_changed(user_id)
        raise Failed
    assert copy_of(accounts, user_id) == before
    assert version_of(accounts) == 1


def test_a_refusal_keeps_what_was_written_and_is_raised_after_the_commit(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    user_id, _ = ids(accounts, token)
    with (
        accounts.app.app_context(),
        pytest.raises(NotFound),
        account_change(accounts.auth.states, accounts.clock()) as change,
    ):
        change.permission_changed(user_id)
        raise Refused(NotFound())
    assert copy_of(accounts, user_id) == {b"v": b"2"}
    assert version_of(accounts) == 2


def test_several_changes_of_one_transaction_are_one_version(accounts: Accounts) -> None:
    user_id, _ = ids(accounts, accounts.register()["access_token"])
    with accounts.app.app_context(), account_change(accounts.auth.states, accounts.clock()) as change:
        change.permission_changed(user_id)
        change.permission_changed(user_id)
    assert copy_of(accounts, user_id) == {b"v": b"2"}
    assert version_of(accounts) == 2


def signing_out(accounts: Accounts) -> Callable[[], int]:
    refresh_token = accounts.register()["refresh_token"]
    return lambda: accounts.post("/logout", {"refresh_token": refresh_token}).status_code


def revoking_a_key(accounts: Accounts) -> Callable[[], int]:
    alice = KeyHolder(accounts)
    key_id = alice.key()["id"]
    return lambda: alice.revoke(key_id).status_code


@pytest.mark.parametrize("prepare", [signing_out, revoking_a_key])
def test_a_repeated_command_announces_again_and_changes_nothing(
    accounts: Accounts, prepare: Callable[[Accounts], Callable[[], int]]
) -> None:
    """Its process may have stopped between the commit and dropping the copies; whoever holds a dead token may repeat it for ever."""
    command = prepare(accounts)
    assert command() == 204
    ((user_id,),) = accounts.query("SELECT id FROM users")
    accounts.redis_client.flushdb()
    assert command() == 204
    assert copy_of(accounts, user_id)[b"v"] == b"2"
    assert version_of(accounts) == 2


def sources() -> Iterator[tuple[str, ast.AST]]:
    yield "app.py", ast.parse((ROOT / "app.py").read_text())
    for package in ("auth", "metering", "payments", "gateway"):
        for path in (ROOT / package).rglob("*.py"):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def written_columns(tree: ast.AST) -> set[str]:
    """Attributes that are assigned to, and what `.values(…)` of a statement names."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values":
            names |= {keyword.arg for keyword in node.keywords if keyword.arg is not None}
    return names


def imports_of(tree: ast.AST) -> set[str | None]:
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_the_version_is_raised_and_announced_in_one_place() -> None:
    raising = {name for name, tree in sources() if "state_version" in written_columns(tree)}
    assert raising == {"auth/account_change.py", "payments/subscriptions/grant_tier.py"}
    announcing = {
        name
        for name, tree in sources()
        if any(isinstance(node, ast.Attribute) and node.attr == "changed" for node in ast.walk(tree))
    }
    assert announcing == {
        "auth/account_change.py",
        "payments/assembly.py",
    }, "payments is handed it where it is put together"


def test_what_permission_rests_on_is_written_in_an_account_change() -> None:
    writing = {
        name: imports_of(tree)
        for name, tree in sources()
        if name.startswith("auth/") and PERMISSION_RESTS_ON & written_columns(tree)
    }
    assert {"auth/sessions/end.py", "auth/operators/accounts.py", "auth/api_keys/rotate.py"} <= set(writing)
    without = {name for name, imports in writing.items() if "auth.account_change" not in imports}
    assert without == OF_SOMETHING_ELSE

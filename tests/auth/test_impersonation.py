"""POST and DELETE /api/auth/admin/impersonate, and what its token may do (row 65 of the attacks: nothing but read)."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import jwt
import pytest
from flask import Blueprint
from werkzeug.test import TestResponse

from auth.principal import Principal, Role
from security.api.operation import OPERATIONS_KEY, Answer, Guard, operation
from tests.auth.accounts_app import Accounts, bearer
from tests.auth.conftest import MakeAccounts

REASON = "Ticket 4711: predictions end at five"


class Desk:
    """Bob of the support, and Alice, who asked for help."""

    def __init__(self, accounts: Accounts, role: str = "support") -> None:
        self.accounts = accounts
        self.alice = accounts.register()
        self.bob = accounts.register("bob@example.com")
        self.set_role("bob@example.com", role)
        self.alice_id, self.bob_id = str(self.alice["user"]["id"]), str(self.bob["user"]["id"])

    def set_role(self, email: str, role: str) -> None:
        """As the command does: the version rises, and every copy is dropped."""
        self.change(f"role = '{role}'", email)

    def change(self, columns: str, email: str) -> None:
        statement = f"UPDATE users SET {columns}, state_version = state_version + 1 WHERE email = :email"
        ((user_id, version),) = self.accounts.query(f"{statement} RETURNING id, state_version", email=email)
        with self.accounts.app.app_context():
            self.accounts.auth.states.changed(user_id, version)

    def begin(self, user_id: str | None = None, reason: str = REASON, token: str | None = None) -> TestResponse:
        body = {"user_id": user_id or self.alice_id, "reason": reason}
        return self.accounts.post("/admin/impersonate", body, headers=bearer(token or self.bob["access_token"]))

    def token(self) -> str:
        answer = self.begin()
        assert answer.status_code == 201, answer.text
        return str(answer.get_json()["access_token"])

    def stop(self, token: str | None = None) -> TestResponse:
        headers = bearer(token or self.bob["access_token"])
        return self.accounts.client.delete("/api/auth/admin/impersonate", headers=headers)

    def get(self, path: str, token: str) -> TestResponse:
        return self.accounts.client.get(path, headers=bearer(token))

    def status(self, token: str) -> int:
        return self.accounts.profile(token).status_code


@pytest.fixture
def desk(accounts: Accounts) -> Desk:
    return Desk(accounts)


@pytest.fixture
def guarded(accounts: Accounts) -> Desk:
    """With a route behind each guard."""
    auth, routes = accounts.auth, Blueprint("guarded", __name__)
    guards: dict[str, Guard] = {
        "oneself": auth.signed_in_as_oneself,
        "recently": auth.recently_signed_in,
        "metered": auth.metered("predict"),
        "support": replace(auth.signed_in, role=Role.SUPPORT),
    }

    def read(caller: Principal) -> Answer:
        return Answer(204)

    for name, guard in guards.items():
        read.__name__ = name
        operation(routes, "GET", f"/{name}", operation_id=name, summary=name, guard=guard, answers={204: None})(read)
    accounts.app.register_blueprint(routes)
    return Desk(accounts)


def refused(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]


def test_the_support_sees_what_the_user_sees_and_the_app_can_say_so(desk: Desk) -> None:
    answer = desk.begin()
    assert answer.status_code == 201
    assert set(answer.get_json()) == {"impersonation_id", "access_token", "token_type", "expires_in"}
    assert answer.get_json()["expires_in"] == 900
    profile = desk.accounts.profile(answer.get_json()["access_token"]).get_json()
    assert (profile["id"], profile["impersonated_by"]) == (desk.alice_id, True)


def test_the_token_names_the_actor(desk: Desk) -> None:
    claims = jwt.decode(desk.token(), options={"verify_signature": False})
    assert (claims["sub"], claims["act"]) == (desk.alice_id, {"sub": desk.bob_id})


def test_it_ends_after_a_quarter_of_an_hour(desk: Desk) -> None:
    token = desk.token()
    desk.accounts.clock.advance(minutes=14, seconds=59)
    assert desk.status(token) == 200
    desk.accounts.clock.advance(seconds=1)
    assert desk.status(token) == 401


def test_a_shorter_life_of_access_tokens_holds_here_too(make_accounts: MakeAccounts) -> None:
    answer = Desk(make_accounts(access_lifetime=timedelta(minutes=5))).begin()
    assert answer.get_json()["expires_in"] == 300


def test_beginning_and_stopping_are_events_that_the_user_reads(desk: Desk) -> None:
    desk.token()
    desk.stop()
    answer = desk.accounts.client.get("/api/auth/security-events", headers=bearer(desk.alice["access_token"]))
    stopped, started, _ = answer.get_json()["events"]
    assert (started["event"], stopped["event"]) == ("impersonation_started", "impersonation_stopped")
    for event in (started, stopped):
        assert event["detail"] == {"reason": REASON}
        assert (event["by_staff"], event["ip"], event["user_agent"]) == (True, None, None)
    actors = desk.accounts.query("SELECT actor_id FROM security_events WHERE event LIKE 'impersonation%'")
    assert [str(row.actor_id) for row in actors] == [desk.bob_id] * 2


# --- it ends within one request --------------------------------------------------------------------------------------


def signs_out(desk: Desk) -> None:
    assert desk.accounts.post("/logout", headers=bearer(desk.bob["access_token"])).status_code == 204


ENDS: dict[str, Callable[[Desk], object]] = {
    "it is stopped": lambda desk: desk.stop(),
    "it is stopped twice": lambda desk: (desk.stop(), desk.stop()),
    "the actor begins another": lambda desk: desk.begin(desk.accounts.register("carol@example.com")["user"]["id"]),
    "the actor signs out": signs_out,
    "the actor's session is over": lambda desk: desk.accounts.query("UPDATE sessions SET expires_at = created_at"),
    "the actor is disabled": lambda desk: desk.change("is_active = false", "bob@example.com"),
    "the actor loses the role": lambda desk: desk.set_role("bob@example.com", "user"),
    "the user is disabled": lambda desk: desk.change("is_active = false", "alice@example.com"),
    "the user joins the staff": lambda desk: desk.set_role("alice@example.com", "support"),
    "the user is deleted": lambda desk: desk.accounts.query("DELETE FROM users WHERE email = 'alice@example.com'"),
    "the actor is deleted": lambda desk: desk.accounts.query("DELETE FROM users WHERE email = 'bob@example.com'"),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_it_stops_within_one_request_when(desk: Desk, end: Callable[[Desk], object]) -> None:
    token = desk.token()
    assert desk.status(token) == 200
    end(desk)
    assert desk.status(token) == 401


def test_other_sessions_of_the_actor_do_not_keep_it_alive(desk: Desk) -> None:
    token = desk.token()
    assert desk.accounts.sign_in("bob@example.com").status_code == 200
    signs_out(desk)
    assert desk.status(token) == 401


def test_the_users_own_sessions_go_on(desk: Desk) -> None:
    desk.token()
    desk.stop()
    assert desk.status(desk.alice["access_token"]) == 200


def test_many_beginnings_at_once_leave_one_running(desk: Desk) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: desk.begin(), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    statuses = [desk.status(answer.get_json()["access_token"]) for answer in answers]
    assert sorted(statuses) == [200] + [401] * 7


# --- it only reads ----------------------------------------------------------------------------------------------------


def test_every_unsafe_route_that_asks_who_calls_is_refused(desk: Desk) -> None:
    """Over all routes of the application, so that a new one is held to it as well."""
    token = desk.token()
    declared = desk.accounts.app.extensions[OPERATIONS_KEY].values()
    unsafe = [each for each in declared if each.method not in {"GET", "HEAD", "OPTIONS"} and each.guard.scheme]
    assert len(unsafe) >= 2
    for each in unsafe:
        path = re.sub(r"{\w+}", str(uuid4()), each.path_template)  # every argument is a UUID
        answer = desk.accounts.client.open(path, method=each.method, json={}, headers=bearer(token))
        assert refused(answer) == (403, "impersonation_read_only"), each.path


def test_it_signs_nobody_out(desk: Desk) -> None:
    token = desk.token()
    assert refused(desk.accounts.post("/logout", headers=bearer(token))) == (403, "impersonation_read_only")
    assert desk.status(token) == 200


def test_a_header_that_names_another_method_changes_nothing(desk: Desk) -> None:
    headers = {**bearer(desk.token()), "X-HTTP-Method-Override": "GET"}
    answer = desk.accounts.client.delete("/api/auth/admin/impersonate", headers=headers)
    assert refused(answer) == (403, "impersonation_read_only")


@pytest.mark.parametrize("path", ["/oneself", "/recently"])
def test_what_is_the_owners_alone_is_not_read(guarded: Desk, path: str) -> None:
    assert guarded.get(path, guarded.alice["access_token"]).status_code == 204
    assert refused(guarded.get(path, guarded.token())) == (403, "impersonation_read_only")


def test_a_metered_route_that_only_reads_does_not_know_it(guarded: Desk) -> None:
    """Metered callers are remembered, and an impersonation must not be."""
    assert guarded.get("/metered", guarded.alice["access_token"]).status_code == 204
    assert guarded.get("/metered", guarded.token()).status_code == 401


def test_it_gives_no_role(guarded: Desk) -> None:
    """An admin may look through the support, and does not act as the support."""
    guarded.set_role("bob@example.com", "admin")
    guarded.set_role("alice@example.com", "support")
    token = guarded.token()
    assert guarded.status(token) == 200
    assert refused(guarded.get("/support", token)) == (403, "insufficient_role")
    assert guarded.get("/support", guarded.alice["access_token"]).status_code == 204


# --- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actor", "user", "status"),
    [
        ("user", "user", 403),
        ("support", "user", 201),
        ("support", "support", 403),
        ("support", "admin", 403),
        ("admin", "user", 201),
        ("admin", "support", 201),
        ("admin", "admin", 403),
    ],
)
def test_only_an_account_of_a_lower_role_is_looked_through(
    accounts: Accounts, actor: str, user: str, status: int
) -> None:
    desk = Desk(accounts, role=actor)
    desk.set_role("alice@example.com", user)
    assert desk.begin().status_code == status
    assert accounts.query("SELECT count(*) FROM impersonations")[0][0] == (status == 201)


def test_nobody_looks_through_the_own_account(desk: Desk) -> None:
    assert refused(desk.begin(desk.bob_id)) == (403, "not_to_be_impersonated")


def test_an_account_that_is_switched_off_is_not_looked_through(desk: Desk) -> None:
    desk.change("is_active = false", "alice@example.com")
    assert refused(desk.begin()) == (403, "not_to_be_impersonated")


def test_an_account_that_does_not_exist(desk: Desk) -> None:
    assert desk.begin("01890000-0000-7000-8000-000000000000").status_code == 404


def test_the_proof_must_be_fresh(desk: Desk) -> None:
    desk.accounts.clock.advance(minutes=6)
    assert refused(desk.begin()) == (401, "insufficient_user_authentication")


def test_nobody_proves_who_they_are_to_hear_that_it_is_not_enough(desk: Desk) -> None:
    desk.set_role("bob@example.com", "user")
    desk.accounts.clock.advance(minutes=6)
    assert refused(desk.begin()) == (403, "insufficient_role")


@pytest.mark.parametrize("reason", ["", "because", "x" * 501])
def test_a_reason_is_given(desk: Desk, reason: str) -> None:
    assert desk.begin(reason=reason).status_code == 422
    assert desk.accounts.events(desk.alice_id) == ["registered"]


def test_the_role_counts_within_one_request(desk: Desk) -> None:
    assert desk.begin().status_code == 201
    desk.set_role("bob@example.com", "user")
    assert refused(desk.begin()) == (403, "insufficient_role")
    assert refused(desk.stop()) == (403, "insufficient_role")


# --- the claim --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", ["somebody_else", "nobody"])
def test_a_token_with_another_actor_than_the_row_is_refused(desk: Desk, actor: str) -> None:
    begun = desk.begin().get_json()
    accounts = desk.accounts
    carol = accounts.register("carol@example.com")["user"]["id"]
    claims = jwt.decode(begun["access_token"], options={"verify_signature": False})
    claims["act"] = {"sub": carol}
    if actor == "nobody":
        del claims["act"]
    key = accounts.auth.access_tokens._keys.signing
    assert isinstance(key.material, bytes)
    token = jwt.encode(claims, key.material, key.algorithm, {"typ": "at+jwt", "kid": key.key_id})
    assert desk.status(token) == 401

"""Every list of an account is asked for and answered alike."""

from typing import Any

import pytest
from openapi_spec_validator import validate

from security.api.openapi import ApiDescription, openapi_document
from security.api.operation import OPERATIONS_KEY
from tests.auth.accounts_app import Accounts, bearer
from tests.auth.key_holder import KeyHolder

LISTS = {
    "sessions": "sessions",
    "security-events": "events",
    "tokens": "tokens",
    "passkeys": "passkeys",
    "identities": "identities",
    "export": "exports",
}


@pytest.mark.parametrize(("path", "rows"), LISTS.items())
def test_an_answer_has_its_rows_under_their_noun_and_the_next_cursor(accounts: Accounts, path: str, rows: str) -> None:
    token = accounts.register()["access_token"]
    answer = ask(accounts, token, path)
    assert set(answer) == {rows, "next_cursor"}
    assert (type(answer[rows]), answer["next_cursor"]) == (list, None)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "cursor=1", "cursor=", "after=1", "page=2"]
)
def test_a_query_that_is_not_understood_is_422(accounts: Accounts, path: str, query: str) -> None:
    token = accounts.register()["access_token"]
    answer = accounts.client.get(f"/api/auth/{path}?{query}", headers=bearer(token))
    assert (answer.status_code, answer.get_json()["error"]) == (422, "validation_failed")


def test_a_cursor_that_was_changed_is_refused_in_plain_words(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    for cursor in ("1", "00000000-0000-7000-8000-00000000000G", "00000000-0000-7000-8000-00000000000A"):
        answer = accounts.client.get(f"/api/auth/sessions?cursor={cursor}", headers=bearer(token))
        [error] = answer.get_json()["errors"]
        assert (error["pointer"], error["message"]) == ("/cursor", "Send the cursor unchanged")


def test_every_list_is_declared_alike(accounts: Accounts) -> None:
    operations = accounts.app.extensions[OPERATIONS_KEY]
    tags = {each.tag: "x" for each in operations.values()}
    document = openapi_document(operations, ApiDescription("x", "1", server="https://api.example.com", tags=tags))
    validate(document)
    lists = [
        operation
        for methods in document["paths"].values()
        for operation in methods.values()
        if operation["operationId"].startswith("list") and operation["operationId"] != "listPublicKeys"
    ]
    assert len(lists) == len(LISTS) + 2  # the events of any account, and invites
    for operation in lists:
        asked = {parameter["name"]: parameter["schema"] for parameter in operation["parameters"]}
        assert "cursor" in asked
        bounds = {name: asked["limit"][name] for name in ("minimum", "maximum", "default")}
        assert bounds == {"minimum": 1, "maximum": 200, "default": 50}, operation["operationId"]


def test_keys_that_work_come_before_those_that_ended_through_all_pages(accounts: Accounts) -> None:
    holder = KeyHolder(accounts)
    keys = [holder.key(name=str(number))["id"] for number in range(6)]
    for ended in (keys[4], keys[1], keys[5]):
        assert holder.revoke(ended).status_code == 204
    expected = [keys[3], keys[2], keys[0], keys[5], keys[4], keys[1]]
    for limit in (1, 2, 4, 6, 200):
        assert all_ids(accounts, holder.access_token, "tokens", "tokens", limit) == expected


def test_the_key_of_somebody_else_is_no_place_in_the_list(accounts: Accounts) -> None:
    alice, bob = KeyHolder(accounts), KeyHolder(accounts, "bob@example.com")
    alices, bobs = alice.key()["id"], bob.key()["id"]
    page = ask(accounts, alice.access_token, "tokens", cursor=bobs)
    assert alices not in [key["id"] for key in page["tokens"]]


def test_exports_have_pages_too(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    begun = []
    for _ in range(3):
        begun.append(accounts.client.post("/api/auth/export", headers=bearer(token)).get_json()["id"])
        accounts.clock.advance(hours=25)
        token = accounts.sign_in().get_json()["access_token"]
    assert all_ids(accounts, token, "export", "exports", 1) == begun[::-1]
    assert all_ids(accounts, token, "export", "exports", 2) == begun[::-1]


def ask(accounts: Accounts, token: str, path: str, **query: Any) -> dict[str, Any]:
    answer = accounts.client.get(f"/api/auth/{path}", query_string=query, headers=bearer(token))
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def all_ids(accounts: Accounts, token: str, path: str, rows: str, limit: int) -> list[str]:
    """Through all pages."""
    found: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = ask(accounts, token, path, **query)
        assert len(page[rows]) <= limit
        found += [row["id"] for row in page[rows]]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]

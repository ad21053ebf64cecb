"""Somebody with an account who makes API keys, and two routes that take them."""

from typing import Any

from flask import Blueprint
from werkzeug.test import TestResponse

from auth.principal import Caller
from auth.scopes import USAGE
from security.api.models import AnswerBody
from security.api.operation import Answer, operation
from tests.auth.accounts_app import Accounts, bearer

HERE = "192.0.2.1"


class Seen(AnswerBody):
    tier: str


class KeyHolder:
    """Alice, and what she does with keys. Calls come from the address `HERE` unless another is named."""

    def __init__(self, accounts: Accounts, email: str = "alice@example.com") -> None:
        self.accounts = accounts
        signed_in = accounts.register(email)
        self.user_id = str(signed_in["user"]["id"])
        self.access_token = str(signed_in["access_token"])

    def create(self, **changes: Any) -> TestResponse:
        wish = {"name": "nightly report", "scopes": ["predict", "usage"], **changes}
        return self.accounts.post("/tokens", wish, headers=bearer(self.access_token))

    def key(self, **changes: Any) -> dict[str, Any]:
        answer = self.create(**changes)
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())

    def listed(self) -> list[dict[str, Any]]:
        answer = self.accounts.client.get("/api/auth/tokens", headers=bearer(self.access_token))
        return list(answer.get_json()["tokens"])

    def revoke(self, key_id: str) -> TestResponse:
        return self.accounts.client.delete(f"/api/auth/tokens/{key_id}", headers=bearer(self.access_token))

    def rotate(self, key_id: str, **body: str) -> TestResponse:
        return self.accounts.post(f"/tokens/{key_id}/rotate", body, headers=bearer(self.access_token))

    def use(self, token: str, path: str = "/tried/usage", address: str = HERE) -> TestResponse:
        return self.accounts.client.get(path, headers=bearer(token), environ_overrides={"REMOTE_ADDR": address})


def routes_with_keys(accounts: Accounts) -> Blueprint:
    """`/tried/usage` asks for the state on each call. `/tried/metered` admits on what is remembered, as a prediction does,

    and compares it as the script does that reserves one."""
    routes, auth = Blueprint("tried", __name__, url_prefix="/tried"), accounts.auth

    @operation(
        routes,
        "GET",
        "/usage",
        operation_id="getUsage",
        summary="",
        guard=auth.signed_in_or_key(USAGE),
        answers={200: Seen},
    )
    def usage(caller: Caller) -> Answer:
        return Answer(200, Seen(tier=caller.tier))

    @operation(
        routes,
        "GET",
        "/metered",
        operation_id="getMetered",
        summary="",
        guard=auth.metered("predict"),
        answers={200: Seen},
    )
    def metered(caller: Caller) -> Answer:
        client = accounts.redis.client()
        if client is not None and caller.cached is not None:
            held = client.hmget(caller.cached.key, caller.cached.fields)
            if held != [value.encode() for value in caller.cached.values]:
                caller = auth.metered("predict").renew(caller)
        return Answer(200, Seen(tier=caller.tier))

    return routes

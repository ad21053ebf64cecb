"""The whole application with the shop on, and who calls it: anyone, a buyer, support, an admin."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg2
from flask import Flask
from psycopg2.extras import RealDictCursor
from werkzeug.test import TestResponse

from app import assemble
from auth.principal import Role
from config import load_settings
from database import db
from database.base import uuid7
from tests.auth.accounts_app import PASSWORD, bearer
from tests.whole.environment import EVERYTHING, PUBLIC_HOST, production_environment

BASE = f"https://{PUBLIC_HOST}"
PRODUCTS = "/api/shop/products"


def new_address() -> str:
    """Few may come from one."""
    return f"2001:db8:{secrets.randbelow(0xFFFF):x}:{secrets.randbelow(0xFFFF):x}::1"


def some(word: str) -> str:
    """A name that no other test has."""
    return f"{word} {secrets.token_hex(4)}"


@dataclass
class Catalogue:
    """The database is shared by all tests of products, so each has a category of its own."""

    app: Flask
    url: str

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> TestResponse:
        headers = {"X-Forwarded-For": new_address(), **options.pop("headers", {})}
        headers |= {} if token is None else bearer(token)
        return self.app.test_client().open(path, method=method, headers=headers, base_url=BASE, **options)

    def get(self, path: str, token: str | None = None, **headers: str) -> TestResponse:
        return self.call("GET", path, token, headers={name.replace("_", "-"): each for name, each in headers.items()})

    def create(self, key: str | None = None, **fields: Any) -> TestResponse:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.call("POST", PRODUCTS, self.admin, json=fields, headers=headers)

    def product(self, **fields: Any) -> dict[str, Any]:
        answer = self.create(**{"name": "Juniper", "price": "12.50", **fields})
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())

    def put(self, product: Mapping[str, Any], **changes: Any) -> TestResponse:
        """All fields as they are but for the changes; the stock is left alone."""
        read_only = {"id", "price_minor", "stock_quantity", "created_at", "updated_at"}
        body = {name: value for name, value in product.items() if name not in read_only} | changes
        return self.call("PUT", f"{PRODUCTS}/{product['id']}", self.admin, json=body)

    def sell(self, product: Mapping[str, Any], pieces: int) -> None:
        """As an order does, but for the order."""
        self.rows("UPDATE shop_products SET stock_quantity = stock_quantity - %s WHERE id = %s", pieces, product["id"])
        self.rows(
            "INSERT INTO stock_movements (id, product_id, delta, kind, at) VALUES (%s, %s, %s, 'adjust', now())",
            str(uuid7()),
            product["id"],
            -pieces,
        )

    def movements(self, product: Mapping[str, Any]) -> list[tuple[str, int]]:
        """The newest first."""
        answer = self.get(f"{PRODUCTS}/{product['id']}/stock-movements", self.support)
        assert answer.status_code == 200, answer.text
        return [(each["kind"], each["delta"]) for each in answer.get_json()["stock_movements"]]

    def run(self, *arguments: str) -> Any:
        return self.app.test_cli_runner().invoke(args=list(arguments))

    @cached_property
    def admin(self) -> str:
        return self.register(Role.ADMIN)

    @cached_property
    def support(self) -> str:
        return self.register(Role.SUPPORT)

    @cached_property
    def buyer(self) -> str:
        return self.register(Role.USER)

    @cached_property
    def api_key(self) -> str:
        """Of the buyer, with the scope of the shop."""
        body = {"name": "till", "scopes": ["orders"]}
        made = self.call("POST", "/api/auth/tokens", self.buyer, json=body)
        assert made.status_code == 201, made.text
        return str(made.get_json()["token"])

    @cached_property
    def impersonation(self) -> str:
        """What an admin gets to look through the buyer's account."""
        user_id = self.get("/api/auth/profile", self.buyer).get_json()["id"]
        body = {"user_id": user_id, "reason": "Ticket 4711: nothing arrives"}
        begun = self.call("POST", "/api/auth/admin/impersonate", self.admin, json=body)
        assert begun.status_code == 201, begun.text
        return str(begun.get_json()["access_token"])

    def register(self, role: Role) -> str:
        """The access token of a new account."""
        email = f"{secrets.token_hex(6)}@example.com"
        answer = self.call("POST", "/api/auth/register", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        if role is not Role.USER:
            given = self.run("users", "set-role", email, role.value)
            assert given.exit_code == 0, given.output
            answer = self.call("POST", "/api/auth/login", json={"email": email, "password": PASSWORD})
        return str(answer.get_json()["access_token"])

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        with closing(psycopg2.connect(self.url, cursor_factory=RealDictCursor)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []


@contextmanager
def running_catalogue(url: str, redis_url: str | None = None, **changes: str) -> Iterator[Catalogue]:
    environ = production_environment(url, "https://predict.example.com", redis_url)
    app = assemble(load_settings({**environ, **EVERYTHING, "CAPABILITIES": "shop", **changes}))
    try:
        yield Catalogue(app, url)
    finally:
        with app.app_context():
            db.engine.dispose()

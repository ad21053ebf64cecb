"""How long a user's own lists take to read among few rows and among many, most of which are other users'."""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from time import perf_counter

import psycopg2
from flask.testing import FlaskClient
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from app import assemble
from auth.tiers import Tier
from bench.analytics import ROUNDS, timed
from bench.callers import HOST
from bench.services import Services
from bench.targets import Addresses, gateway_target
from config import load_settings

MOST_RATIO = 1.5


@dataclass(frozen=True)
class Lists:
    """`rows`: what there are few and many of. `fill`: statements, with `%(rows)s`, their number, `%(owner)s`, who asks, and `given`.
    `example`: a statement that finds what `{example}` stands for in paths.
    """

    rows: str
    few: int
    many: int
    under: str
    paths: Sequence[str]
    fill: Sequence[str]
    given: Mapping[str, int]
    example: str = "SELECT ''"
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Filled:
    client: FlaskClient
    token: str
    under: str
    example: str

    def milliseconds(self, path: str) -> float:
        began = perf_counter()
        answer = self.client.get(
            f"{self.under}/{path.format(example=self.example)}",
            headers={"Authorization": f"Bearer {self.token}"},
            base_url=f"https://{HOST}",
        )
        took = (perf_counter() - began) * 1000
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code}")
        return took


def compare_sizes(lists: Lists, services: Services) -> bool:
    """Print the table."""
    few, many = (filled(lists, services, rows) for rows in (lists.few, lists.many))
    width = max(map(len, lists.paths)) + 2
    print(f"{'path':{width}}{f'{lists.few:,}':>12}{f'{lists.many:,}':>14}  ratio   (ms, medians of {ROUNDS})")
    ratios = []
    for path in lists.paths:
        pairs = [(few.milliseconds(path), many.milliseconds(path)) for _ in range(ROUNDS)]
        small, large = (median(times) for times in zip(*pairs, strict=True))
        ratios.append(median(large / small for small, large in pairs))
        print(f"{path:{width}}{small:12.1f}{large:14.1f}{ratios[-1]:7.2f}", flush=True)
    print(f"the largest: {max(ratios):.2f}   (to reach: at most {MOST_RATIO})")
    return True


def filled(lists: Lists, services: Services, rows: int) -> Filled:
    """An application on a database with so many rows."""
    url = services.postgres.ensure_database(f"{lists.rows}_{rows}")
    target = gateway_target(Addresses(url, services.redis_url(9), "http://127.0.0.1:9", secrets.token_urlsafe(48)))
    (token,) = target.tokens(1, Tier.FREE)  # it migrates the database
    app = assemble(load_settings({**target.environment, **lists.environment, "LOG_LEVEL": "ERROR"}))
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        print(f"{rows:,} {lists.rows}: written in {timed(partial(fill, connection, lists, rows)):.0f} s")
        return Filled(app.test_client(), token, lists.under, found(connection, lists.example))


def fill(connection: Connection, lists: Lists, rows: int) -> None:
    owner = found(connection, "SELECT id::text FROM users")
    with connection.cursor() as cursor:
        for statement in lists.fill:
            cursor.execute(statement, {**lists.given, "rows": rows, "owner": owner})


def found(connection: Connection, statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        (value,) = cursor.fetchone() or ("",)
        return str(value)

"""Metrics that PostgreSQL knows: read anew at most once a second, and never a reason for a scrape to fail."""

from collections.abc import Callable

import psycopg2
from prometheus_client.metrics_core import Metric
from psycopg2.extensions import connection as Connection  # noqa: N812

from database.figures import FRESH_SECONDS, Figure, StoredFigures
from tests.conftest import administer
from tests.metering.limit_backends import eventually

NUMBERS = Figure("mirroros_numbers", "numbers", "SELECT kind, count(*) FROM numbers GROUP BY kind", labels=("kind",))
COUNTED = Figure("mirroros_counted_total", "counted", "SELECT 7", kind="counter")
MISSING = Figure("mirroros_missing", "no such table", "SELECT count(*) FROM nowhere")


def connecting(url: str) -> Callable[[], Connection]:
    return lambda: psycopg2.connect(url)


def read(figures: StoredFigures) -> dict[str, list[tuple[dict[str, str], float]]]:
    def samples(family: Metric) -> list[tuple[dict[str, str], float]]:
        return [(sample.labels, sample.value) for sample in family.samples]

    return {family.name: samples(family) for family in figures.collect()}


def test_each_row_is_a_sample_and_one_that_cannot_be_read_takes_no_other_with_it(empty_database_url: str) -> None:
    administer(
        empty_database_url, "CREATE TABLE numbers AS SELECT * FROM (VALUES ('even'), ('odd'), ('odd')) AS n (kind)"
    )
    found = read(StoredFigures(connecting(empty_database_url), (MISSING, NUMBERS, COUNTED)))
    assert {name: sorted(samples, key=str) for name, samples in found.items()} == {
        "mirroros_numbers": [({"kind": "even"}, 1), ({"kind": "odd"}, 2)],
        "mirroros_counted": [({}, 7)],
    }


def test_scrapes_of_one_second_are_one_connection(empty_database_url: str) -> None:
    opened = 0

    def connect() -> Connection:
        nonlocal opened
        opened += 1
        return psycopg2.connect(empty_database_url)

    figures = StoredFigures(connect, (COUNTED,))
    assert [read(figures) for _ in range(3)] == [{"mirroros_counted": [({}, 7)]}] * 3
    assert opened == 1
    eventually(lambda: (read(figures) and opened == 2) or None, 10 * FRESH_SECONDS)


def test_without_postgresql_there_is_nothing_and_no_error() -> None:
    assert read(StoredFigures(connecting("postgresql://nobody@127.0.0.1:1/nowhere"), (COUNTED,))) == {}

"""Metrics that PostgreSQL knows: read when somebody asks, at most once a second, and left out while it does not answer.

Every process answers them alike, so a query takes the largest of them (`max by`) and never their sum.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal

import psycopg2
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

log = logging.getLogger(__name__)

FRESH_SECONDS = 1.0

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Figure:
    """`sql` gives rows of the labels and then a number. It reads an index or a small table, for it runs at every scrape.

    A counter's rows only rise; its name ends in `_total`.
    """

    name: str
    meaning: str
    sql: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"

    def family(self, rows: Rows) -> Metric:
        made = GaugeMetricFamily if self.kind == "gauge" else CounterMetricFamily
        family = made(self.name, self.meaning, labels=self.labels)
        for *labels, value in rows:
            family.add_metric([str(label) for label in labels], float(value))
        return family


class StoredFigures(Collector):
    """On a connection beside the pool, because a pool that is used up is what somebody may want to see here."""

    def __init__(self, connect: Callable[[], Connection], figures: Sequence[Figure]) -> None:
        self._connect = connect
        self._figures = figures
        self._lock = threading.Lock()
        self._read_at = -FRESH_SECONDS
        self._families: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            if monotonic() - self._read_at >= FRESH_SECONDS:
                self._families = self._read()
                self._read_at = monotonic()
            families = self._families
        yield from families

    def _read(self) -> list[Metric]:
        """One that cannot be read takes no other with it."""
        families = []
        try:
            with closing(self._connect()) as connection:
                connection.autocommit = True
                for figure in self._figures:
                    if (family := _read_one(connection, figure)) is not None:
                        families.append(family)
        except psycopg2.Error as error:
            log.warning("figures_not_read", extra={"reason": type(error).__name__})
        return families


def _read_one(connection: Connection, figure: Figure) -> Metric | None:
    """Raises psycopg2.Error when the connection is lost."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(figure.sql)
            return figure.family(cursor.fetchall())
    except psycopg2.Error as error:
        if connection.closed:
            raise
        log.warning("figure_not_read", extra={"metric": figure.name, "reason": type(error).__name__})
        return None

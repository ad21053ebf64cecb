"""The metrics of all parts, put together."""

from collections.abc import Callable
from itertools import chain

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine, QueuePool

from admin.assembled import Assembled
from database.figures import StoredFigures
from database.jobs.metrics import FAILED_JOBS
from database.metrics import POOL_IN_USE, POOL_SIZE
from security.health.metrics import HealthMetrics
from security.metrics.exposition import BuildInfo, Metrics
from security.metrics.live import Live


def metrics_of(made: Assembled, engine: Engine, connect: Callable[[], Connection], build: BuildInfo) -> Metrics:
    """`connect` opens a connection beside the pool of `engine`."""
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    own = made.built.values()
    figures = (FAILED_JOBS, *made.payments.figures, *chain.from_iterable(each.figures for each in own))
    return Metrics(
        (build, HealthMetrics(made.health), StoredFigures(connect, figures)),
        (
            Live(POOL_IN_USE, pool.checkedout),
            Live(POOL_SIZE, pool.size),
            *made.metering.live,
            *chain.from_iterable(each.live for each in own),
        ),
    )

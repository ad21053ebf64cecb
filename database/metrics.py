"""What a process's pool of PostgreSQL connections is doing."""

from prometheus_client import Gauge

POOL_IN_USE = Gauge(
    "mirroros_database_pool_connections_in_use",
    "PostgreSQL connections that requests hold now, of all web processes",
    multiprocess_mode="livesum",
)
POOL_SIZE = Gauge(
    "mirroros_database_pool_connections_limit",
    "PostgreSQL connections that the pools of all web processes may hold (DATABASE_POOL_SIZE for each)",
    multiprocess_mode="livesum",
)

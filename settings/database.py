"""Where PostgreSQL and Redis are."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from settings import types
from settings.process import ProcessSection
from settings.section import Complaint, secret_text


class DatabaseSection(ProcessSection):
    title: ClassVar = "PostgreSQL and Redis"

    database_url: types.PostgresUrl | None = Field(
        default=None, examples=["postgresql://mirroros:development-only-password@127.0.0.1:5432/mirroros"]
    )
    """The address of PostgreSQL 15 or newer. In development the default is an embedded server."""
    database_direct_url: types.PostgresUrl | None = Field(
        default=None, examples=["postgresql://mirroros:development-only-password@127.0.0.1:5432/mirroros"]
    )
    """The address of PostgreSQL itself, for migrations and the worker. Set it when `DATABASE_URL` leads to PgBouncer in
    transaction mode (docs/scaling.md), and only then."""
    database_pool_size: int = Field(default=10, ge=1, le=200)
    """The number of PostgreSQL connections per process. All processes together must stay below the server's
    `max_connections`."""
    database_replica_url: types.PostgresUrl | None = Field(
        default=None, examples=["postgresql://mirroros:development-only-password@replica.example.com:5432/mirroros"]
    )
    """The address of a read replica (a hot standby) of `DATABASE_URL`. Reports are read from it. While it cannot be reached,
    they are read from `DATABASE_URL`."""
    redis_url: types.RedisUrl | None = Field(default=None, examples=["redis://127.0.0.1:6379/0"])
    """The address of Redis or Valkey. Without it, limits are kept in PostgreSQL: just as exact, but slower."""
    redis_timeout_ms: int = Field(default=100, ge=20, le=500)
    """How long a Redis command may take, in milliseconds. After that, the process uses PostgreSQL for a second."""

    @property
    def database_is_pooled(self) -> bool:
        """Whether `DATABASE_URL` leads through PgBouncer."""
        return secret_text(self.database_direct_url) not in {None, secret_text(self.database_url)}

    @property
    def database_session_url(self) -> str:
        """For what needs a session of its own. Empty without any."""
        return secret_text(self.database_direct_url) or secret_text(self.database_url) or ""

    def unsafe(self) -> Iterator[Complaint]:
        if self.database_url is None:
            yield "DATABASE_URL", "must be set, because the embedded server is only for development"

    def remarks(self) -> Iterator[str]:
        if self.redis_url is None:
            yield "REDIS_URL is not set: limits are kept in PostgreSQL, just as exact but slower."

"""PostgreSQL: who connects and how, whether there is room for every process, its schema and its clock."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote, urlsplit

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - it is a class

from admin.check_production.clocks import clock_is_off
from database.base import Clock
from database.engine import MINIMUM_SERVER_VERSION, libpq_url
from database.schema import SchemaNotCurrent, schema_check
from settings.private_hosts import is_private_host
from settings.production_check import CannotAsk, ProductionCheck, Shortcoming
from settings.secret_strength import WELL_KNOWN_PARTS

SHORTEST_PASSWORD = 12
BESIDE_THE_POOL = 3
"""Connections of a web process: one writes predictions, one payment events, one reads reports (docs/deployment.md, Size)."""
OF_A_WORKER = 7
"""Connections of a worker beside its pool (the same)."""

LOOK = """
    SELECT current_setting('server_version_num')::int / 10000, rolsuper, coalesce(ssl, false), clock_timestamp(),
        least(
            current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                - coalesce(current_setting('reserved_connections', true), '0')::int,
            CASE WHEN rolconnlimit < 0 THEN 1000000 ELSE rolconnlimit END,
            CASE WHEN datconnlimit < 0 THEN 1000000 ELSE datconnlimit END
        )
    FROM pg_roles
    JOIN pg_database ON datname = current_database()
    LEFT JOIN pg_stat_ssl ON pid = pg_backend_pid()
    WHERE rolname = current_user
"""


@dataclass(frozen=True)
class Processes:
    """Of this host. Elsewhere there may be more."""

    web: int
    pool_size: int

    def connections(self) -> int:
        """With one worker."""
        return self.web * (self.pool_size + BESIDE_THE_POOL) + self.pool_size + OF_A_WORKER


@dataclass(frozen=True)
class Server:
    version: int
    superuser: bool
    encrypted: bool
    clock: datetime
    connections: int


def database_checks(url: str, processes: Processes, clock: Clock) -> tuple[ProductionCheck, ...]:
    right = "PostgreSQL has its own user and password, encryption where it is needed, and room for every process."
    return (
        ProductionCheck("database", right, lambda: find(url, processes, clock)),
        ProductionCheck("migrations", "Every migration has run.", lambda: find_migrations(url), needs="database"),
    )


def pooler_check(url: str) -> ProductionCheck:
    """`url` leads through PgBouncer, which takes no time limits from us and gives none by itself."""
    return ProductionCheck("pgbouncer", "Sessions behind PgBouncer have a time limit.", lambda: find_pooler(url))


def find_pooler(url: str) -> Iterator[Shortcoming]:
    with connected(url, "DATABASE_URL") as cursor:
        cursor.execute("SHOW statement_timeout")
        (limit,) = cursor.fetchone() or ("0",)
    if limit == "0":
        yield Shortcoming(
            "Sessions behind PgBouncer have no statement_timeout: a stuck statement holds its connection for good.",
            "Set connect_query as deploy/pgbouncer.ini does (docs/scaling.md).",
        )


def find(url: str, processes: Processes, clock: Clock) -> Iterator[Shortcoming]:
    yield from weak_credentials(url)
    asked = clock()
    server = look(url)
    yield from clock_is_off("PostgreSQL", server.clock, asked, clock())
    if server.version < MINIMUM_SERVER_VERSION:
        yield Shortcoming(
            f"PostgreSQL {server.version} is too old.", f"Upgrade it to version {MINIMUM_SERVER_VERSION} or newer."
        )
    if server.superuser:
        yield Shortcoming(
            "The user of DATABASE_URL is a superuser, who can read the server's files and run its programs.",
            "Create a role and a database of its own, and restore a backup into it (docs/deployment.md, Backups).",
            fails=False,
        )
    if not is_private_host(urlsplit(url).hostname or ""):
        yield from open_to_listeners(url, server)
    yield from too_few_connections(server, processes)


def weak_credentials(url: str) -> Iterator[Shortcoming]:
    parts = urlsplit(url)
    password = unquote(parts.password or "")
    mend = "ALTER ROLE … PASSWORD '…' with 32 random letters and digits, and change DATABASE_URL."
    if not password:
        if "sslcert=" not in parts.query and "passfile=" not in parts.query:
            yield Shortcoming("DATABASE_URL has no password.", mend)
    elif len(password) < SHORTEST_PASSWORD or password == unquote(parts.username or ""):
        yield Shortcoming("The password in DATABASE_URL can be guessed.", mend)
    elif any(part in password.lower() for part in (*WELL_KNOWN_PARTS, "postgres", "mirroros")):
        yield Shortcoming("The password in DATABASE_URL contains a well-known word.", mend)


def look(url: str) -> Server:
    with connected(url, "PostgreSQL") as cursor:
        cursor.execute("SET LOCAL statement_timeout = '3s'")
        cursor.execute(LOOK)
        row = cursor.fetchone()
    assert row is not None
    version, superuser, encrypted, clock, connections = row
    return Server(version, superuser, encrypted, clock, connections)


@contextmanager
def connected(url: str, what: str) -> Iterator[Cursor]:
    """A new connection. Raises CannotAsk."""
    try:
        connection = psycopg2.connect(libpq_url(url), connect_timeout=3)
        with closing(connection), connection.cursor() as cursor:
            yield cursor
    except psycopg2.Error as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CannotAsk(
            f"{what} cannot be asked: {reason}", "Check DATABASE_URL (docs/deployment.md, Troubleshooting)."
        ) from None


def open_to_listeners(url: str, server: Server) -> Iterator[Shortcoming]:
    verified = "Add ?sslmode=verify-full to DATABASE_URL, and sslrootcert=… for an authority of your own."
    if not server.encrypted:
        yield Shortcoming("The connection to PostgreSQL crosses a public network without TLS.", verified)
    elif "sslmode=verify-" not in urlsplit(url).query:
        yield Shortcoming("The certificate of PostgreSQL is not checked.", verified, fails=False)


def too_few_connections(server: Server, processes: Processes) -> Iterator[Shortcoming]:
    needed = processes.connections()
    mend = "Lower DATABASE_POOL_SIZE or WEB_CONCURRENCY, or raise max_connections (docs/deployment.md, Size)."
    if needed > server.connections:
        yield Shortcoming(
            f"This host and one worker need {needed} connections, and PostgreSQL has {server.connections} for them.",
            mend,
        )
    elif 2 * needed > server.connections:
        yield Shortcoming(
            f"During a deployment this host and one worker need {2 * needed} connections, and PostgreSQL has {server.connections}.",
            mend,
            fails=False,
        )


def find_migrations(url: str) -> Iterator[Shortcoming]:
    try:
        schema_check(url)()
    except SchemaNotCurrent:
        raise CannotAsk("The database lacks migrations.", "Run: flask db upgrade") from None
    yield from ()

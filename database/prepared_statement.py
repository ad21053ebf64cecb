"""A statement that each connection plans once, and that is sent as it stands where a connection cannot keep it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - it is a class

PARAMETER = re.compile(r"\$(\d+)")


class PooledConnection(Connection):
    """It leads through a pooler to another session for each transaction, so that nothing can be prepared on it."""


@dataclass(frozen=True)
class PreparedStatement:
    """`sql` names its parameters $1, $2 …, of these `types`, and holds no percent sign."""

    name: str
    types: Sequence[str]
    sql: str
    _execute: str = field(init=False)
    _whole: str = field(init=False)

    def __post_init__(self) -> None:
        casts = [f"%({number})s::{kind}" for number, kind in enumerate(self.types, start=1)]
        given = ", ".join(f"%s::{kind}" for kind in self.types)
        object.__setattr__(self, "_execute", f"EXECUTE {self.name} ({given})")
        object.__setattr__(self, "_whole", PARAMETER.sub(lambda found: casts[int(found[1]) - 1], self.sql))

    def prepare(self, connection: Connection) -> None:
        if not isinstance(connection, PooledConnection):
            with connection.cursor() as cursor:
                cursor.execute(f"PREPARE {self.name} ({', '.join(self.types)}) AS {self.sql}")

    def execute(self, cursor: Cursor, *values: object) -> None:
        """On a connection that `prepare` was called with."""
        if isinstance(cursor.connection, PooledConnection):
            cursor.execute(self._whole, {str(number): value for number, value in enumerate(values, start=1)})
        else:
            cursor.execute(self._execute, values)

"""Reads the names of commands from what clients of Redis and PostgreSQL send. No value is ever kept."""

import re
import struct

STARTUP_VERSION_3 = range(0x0003_0000, 0x0004_0000)
NAME = r'"?([a-z_][a-z0-9_.]*+)"?'
VERB = re.compile(r"\s*([a-z]+)", re.IGNORECASE)
WRITES = {
    "INSERT": re.compile(rf"\binsert\s+into\s+{NAME}", re.IGNORECASE),
    "UPDATE": re.compile(
        rf"(?<!do )(?<!for )\bupdate\s+(?:only\s+)?{NAME}\s+(?:as\s|set\s|[a-z_]+\s+set\s)", re.IGNORECASE
    ),
    "DELETE": re.compile(rf"\bdelete\s+from\s+{NAME}", re.IGNORECASE),
}
READ = re.compile(rf"(?<!delete )(?<!distinct )\b(?:from|join)\s+(?:only\s+)?{NAME}(?!\s*\()", re.IGNORECASE)
NAMED_QUERY = re.compile(rf"{NAME}\s*(?:\([^)]*\)\s*)?\bas\s+(?:not\s+)?(?:materialized\s*)?\(", re.IGNORECASE)
LITERAL = re.compile(r"'(?:[^']|'')*'")


class RedisCommands:
    """RESP arrays of bulk strings, as every client library sends them."""

    def __call__(self, data: bytes) -> tuple[list[str], bytes]:
        names: list[str] = []
        while (read := self._one(data)) is not None:
            name, data = read
            names.append(name)
        return names, data

    @staticmethod
    def _one(data: bytes) -> tuple[str, bytes] | None:
        head, ended, rest = data.partition(b"\r\n")
        if not ended:
            return None
        name = ""
        for number in range(int(head[1:])):
            size, ended, rest = rest.partition(b"\r\n")
            length = int(size[1:]) if ended else 0
            if not ended or len(rest) < length + 2:
                return None
            if number == 0:
                name = rest[:length].decode("ascii", "replace").upper()
            rest = rest[length + 2 :]
        return name, rest


class PostgresStatements:
    """Frontend messages of protocol 3: Query and Parse carry SQL. One reader for one connection."""

    def __init__(self) -> None:
        self._started = False

    def __call__(self, data: bytes) -> tuple[list[str], bytes]:
        names: list[str] = []
        while True:
            kind_length = 1 if self._started else 0
            if len(data) < kind_length + 4:
                return names, data
            length = struct.unpack_from("!I", data, kind_length)[0]
            if len(data) < kind_length + length:
                return names, data
            message, data = data[: kind_length + length], data[kind_length + length :]
            if not self._started:
                # Requests for TLS or GSS have other numbers here, and the startup message follows them.
                self._started = struct.unpack_from("!I", message, 4)[0] in STARTUP_VERSION_3
            elif message[:1] == b"Q":
                names += statements(message[5:-1].decode("utf-8", "replace"))
            elif message[:1] == b"P":
                names += statements(message[5:].split(b"\0")[1].decode("utf-8", "replace"))


def statements(sql: str) -> list[str]:
    """For each statement what it does to which tables, such as `INSERT predictions`; several when it has named queries."""
    return [name for part in LITERAL.sub("''", sql).split(";") if (name := summary(part))]


def summary(statement: str) -> str:
    named = {name.lower() for name in NAMED_QUERY.findall(statement)}
    found = [f"{verb} {name.lower()}" for verb, pattern in WRITES.items() for name in pattern.findall(statement)]
    found += [f"SELECT {name}" for name in dict.fromkeys(map(str.lower, READ.findall(statement))) if name not in named]
    verb = VERB.match(statement)
    return " + ".join(found) or (verb[1].upper() if verb else "")

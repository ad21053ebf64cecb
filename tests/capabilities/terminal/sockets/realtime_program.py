"""tests/realtime/program.py with a name server. NAMES: JSON, for each name the answers in turn, each with the addresses in it; the
last answer stays.
"""

import json
import os
import socket
from typing import Any

from tests.realtime import program

NAMES: dict[str, list[list[str]]] = json.loads(os.environ.get("NAMES", "{}"))
getaddrinfo = socket.getaddrinfo


def answer(host: Any, port: Any, *more: Any, **options: Any) -> Any:
    if host not in NAMES:
        return getaddrinfo(host, port, *more, **options)
    answers = NAMES[host]
    addresses = answers.pop(0) if len(answers) > 1 else answers[0]
    return [entry for each in addresses for entry in getaddrinfo(each, port, *more, **options)]


if __name__ == "__main__":
    socket.getaddrinfo = answer
    program.main()

"""Whether the client of a request is still there."""

import socket

from flask import request


def client_left() -> bool:
    """It has closed its connection, or its half of it. False where the web server does not tell the connection."""
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    if connection is None:
        return False
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True

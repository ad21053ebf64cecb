"""Plays out a fault on one connection. Only reached when the server was started with its test switches."""

from __future__ import annotations

import gzip
import json
import select
from typing import TYPE_CHECKING

from examples.private_server.mirror_verifier import VerifiedRequest
from examples.private_server.switches import Fault, Switches

if TYPE_CHECKING:
    from examples.private_server.connection import Connection

JSON = "application/json"
HTML = b"<!doctype html><title>502 Bad Gateway</title><h1>upstream-secret-text</h1>"
GOOD = json.dumps({"prediction": {"probability": 0.5}, "model": "test", "kind": "baseline"}).encode()


def misbehave(connection: Connection, request: VerifiedRequest, switches: Switches) -> None:
    fault = switches.fault
    if fault is Fault.STATUS:
        more = {} if switches.retry_after is None else {"Retry-After": str(switches.retry_after)}
        connection.send_problem(request, switches.status, "switched_on", more, detail="upstream-secret-text")
    elif fault in (Fault.HANG, Fault.CLOSE):
        if fault is Fault.HANG:
            _wait_for_the_end(connection)
        connection.close_connection = True
    elif fault in (Fault.TRICKLE, Fault.BODY_CUT):
        _send_in_part(connection, request, trickle=fault is Fault.TRICKLE)
    elif fault in SIGNED_BODIES:
        content_type, body = SIGNED_BODIES[fault]
        connection.send_signed(request, 200, content_type, body)
    elif fault is Fault.HUGE:
        connection.send_signed(request, 200, JSON, b'{"prediction":"' + b"x" * 5_000_000 + b'"}')
    elif fault is Fault.GZIP:
        packed = gzip.compress(b'{"prediction":"' + b"x" * (20 * 1024 * 1024) + b'"}', mtime=0)
        connection.send_signed(request, 200, JSON, packed, {"Content-Encoding": "gzip"})
    elif fault is Fault.REDIRECT:
        connection.send_signed(request, 307, JSON, b"{}", {"Location": f"{connection.owner.url}/health"})
    else:
        _send_wrongly_signed(connection, request, fault)


SIGNED_BODIES = {
    Fault.NOT_JSON: (JSON, b'{"prediction": upstream-secret-text'),
    Fault.NAN: (JSON, b'{"prediction": {"probability": NaN}}'),
    Fault.HTML: ("text/html", HTML),
}


def _send_wrongly_signed(connection: Connection, request: VerifiedRequest, fault: Fault) -> None:
    headers = connection.owner.verifier.sign_response(request, 200, JSON, GOOD)
    status, body = 200, GOOD
    if fault is Fault.UNSIGNED:
        headers = {"Content-Type": JSON}
    elif fault is Fault.BAD_SIGNATURE:
        headers["X-Mirror-Signature"] = "v1=" + "0" * 64
    elif fault is Fault.OTHER_NONCE:
        other = VerifiedRequest(request.key_id, "A" * 22, request.timestamp, request.context)
        headers = connection.owner.verifier.sign_response(other, 200, JSON, GOOD)
    elif fault is Fault.REFLECTED:
        headers["X-Mirror-Timestamp"] = connection.headers["X-Mirror-Timestamp"]
        headers["X-Mirror-Signature"] = connection.headers["X-Mirror-Signature"]
    elif fault is Fault.STATUS_CHANGED:
        status = 201
    elif fault is Fault.BODY_CHANGED:
        body = GOOD.replace(b"0.5", b"0.9")
    connection.send(status, headers, body)


def _send_in_part(connection: Connection, request: VerifiedRequest, *, trickle: bool) -> None:
    headers = connection.owner.verifier.sign_response(request, 200, JSON, GOOD)
    connection.wfile.write(connection.head(200, headers, len(GOOD)))
    if trickle:
        for octet in GOOD:
            connection.wfile.write(bytes([octet]))
            if connection.owner.stopping.wait(1.0):
                break
    else:
        connection.wfile.write(GOOD[: len(GOOD) // 2])
    connection.close_connection = True


def _wait_for_the_end(connection: Connection) -> None:
    """Until the client goes away or the server stops."""
    poll = select.poll()  # not select(): that fails above 1,024 open files
    poll.register(connection.connection, select.POLLIN)
    while not connection.owner.stopping.is_set():
        if poll.poll(250):  # milliseconds
            return

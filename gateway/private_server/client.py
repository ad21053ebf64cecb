"""The private prediction server, as this process speaks to it: signed, pooled, with one deadline, and never trusted."""

import random
import ssl
from collections.abc import Callable
from time import monotonic, sleep
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from database.base import Clock, utc_now
from gateway.private_server.connection_pool import ConnectionPool
from gateway.private_server.http_connection import ConnectionLost, HttpConnection, Reply, ReplyNotAcceptable
from gateway.private_server.problems import (
    PredictionFailed,
    PredictionRefused,
    PrivateServerBroke,
    PrivateServerBusy,
    PrivateServerFailed,
    PrivateServerTimedOut,
    PrivateServerUnreachable,
    SignatureNotAccepted,
)
from gateway.private_server.resolve_name import Addresses
from gateway.private_server.result_document import check_result
from gateway.settings import ResponseVerification
from security.logs.log import security_event
from security.request_signer import CallContext, ResponseNotSigned, ResponseNotTrusted, sign_request, verify_response
from security.secrets.signing_keys import PrivateServerKeys

LARGEST_REPLY = 2 * 1024 * 1024
LEAST_SECONDS_FOR_RETRY = 3.0
LONGEST_UNNOTICED_CLOSE = 1.0
"""Seconds. A connection that was closed while it lay idle says so within one round trip of the request."""

REFUSALS: dict[int, Callable[[str], PrivateServerFailed]] = {
    400: PredictionRefused,
    401: SignatureNotAccepted,
    403: SignatureNotAccepted,
    422: PredictionRefused,
}
JSON = "application/json"


class PrivateServer:
    """One per process, shared by all threads."""

    def __init__(
        self,
        url: str,
        path: str,
        keys: PrivateServerKeys,
        verify: ResponseVerification,
        *,
        timeout: float,
        largest_pool: int,
        clock: Clock = utc_now,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`url` is http(s)://host[:port][/path]. `timeout`: the seconds that a whole call may take. `tls` replaces the default
        verification, for a private certificate authority.
        """
        self.timeout = timeout
        origin = urlsplit(url)
        secure, host = origin.scheme == "https", origin.hostname or ""
        usual_port = 443 if secure else 80
        port = origin.port or usual_port
        authority = f"[{host}]" if ":" in host else host
        if port != usual_port:
            authority += f":{port}"
        base = origin.path.rstrip("/")
        self._addresses = Addresses(host, port)
        self._target = base + path
        self._keys = keys
        self._verify = verify
        self._clock = clock
        self._tls = (tls or ssl.create_default_context()) if secure else None
        self._pool = ConnectionPool(largest_pool)
        fixed = f"Host: {authority}\r\nAccept: {JSON}\r\nAccept-Encoding: identity\r\n"
        fixed += "User-Agent: mirroros-gateway\r\n"
        self._predict_head = f"POST {self._target} HTTP/1.1\r\n{fixed}"
        self._health_request = f"GET {base}/health HTTP/1.1\r\n{fixed}\r\n".encode()

    def predict(
        self, document: bytes, *, request_id: UUID, user_id: UUID, tier: str, trace_request_id: str, traceparent: str
    ) -> bytes:
        """`document` is sent byte for byte; `request_id` is also the key by which a repeat is recognised.

        The result's bytes, proved to be one JSON object. Raises a PrivateServerFailed for everything else.

        A call is sent twice only when the first surely did nothing, and at least three seconds are left: no connection came
        about, or a pooled one was lost within a second of sending and before any byte of a reply. The second has a new
        timestamp and nonce but the same `idem` in its context, so that a server that did take the first one can tell.
        """
        nonce = ""
        sent = 0

        def signed_request(deadline: float) -> bytes:
            nonlocal nonce, sent
            sent += 1
            left_ms = max(1, int((deadline - monotonic()) * 1000))
            name = str(request_id)
            context = CallContext(name, str(user_id), tier, left_ms, name)
            signed = sign_request(
                self._keys,
                method="POST",
                target=self._target,
                body=document,
                content_type=JSON,
                now=self._clock(),
                context=context.encoded(),
            )
            nonce = signed.nonce
            fields = "".join([f"{name}: {value}\r\n" for name, value in signed.headers.items()])
            return (
                f"{self._predict_head}{fields}Content-Length: {len(document)}\r\nX-Request-Deadline-Ms: {left_ms}\r\n"
                f"X-Request-ID: {trace_request_id}\r\ntraceparent: {traceparent}\r\n\r\n"
            ).encode("ascii") + document

        try:
            reply = self._exchange(signed_request, monotonic() + self.timeout)
            return self._result_of(reply, nonce)
        except PrivateServerFailed as failure:
            failure.sent = sent
            raise

    def answers_health(self, seconds: float) -> bool:
        """GET /health within the deadline; never a prediction. Nobody is told what it says, so it is not signed."""
        try:
            reply = self._exchange(lambda _: self._health_request, monotonic() + seconds, least_seconds=0)
        except (PredictionFailed, PrivateServerUnreachable, PrivateServerTimedOut):
            return False
        return reply.status == 200

    def try_keys(self, seconds: float) -> int:
        """Send a signed question that nobody can answer, and prove where the answer is from. Its status.

        The signature is checked before the question is read, and refusals are signed too (docs/private-server.md), so the keys
        and clocks of both sides are tried and no prediction is made. Raises a PrivateServerFailed.
        """
        body, target = b"{}", self._target
        signed = sign_request(self._keys, method="POST", target=target, body=body, content_type=JSON, now=self._clock())
        fields = "".join([f"{name}: {value}\r\n" for name, value in signed.headers.items()])
        request = f"{self._predict_head}{fields}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body
        reply = self._exchange(lambda _: request, monotonic() + seconds, least_seconds=0)
        if reply.status in {401, 403}:
            raise SignatureNotAccepted(f"status_{reply.status}")
        if reply.status not in {404, 405} and reply.status < 500:
            self._prove_origin(reply, signed.nonce)
        return reply.status

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def _exchange(
        self, request: Callable[[float], bytes], deadline: float, least_seconds: float = LEAST_SECONDS_FOR_RETRY
    ) -> Reply:
        """`least_seconds`: what must be left for a second try."""
        first_try = True
        while True:
            pooled = self._pool.take() if first_try else None
            try:
                connection = pooled or HttpConnection.open(self._addresses, deadline, self._tls)
            except TimeoutError:
                raise PrivateServerUnreachable("connect_timeout") from None
            except OSError as error:
                if not first_try or deadline - monotonic() < least_seconds:
                    raise PrivateServerUnreachable("connect_failed") from error
                first_try = False
                sleep(random.uniform(0.05, 0.15))  # noqa: S311 - so that not all come back at once
                continue
            sent_at = monotonic()
            try:
                reply = connection.exchange(request(deadline), deadline, LARGEST_REPLY)
            except ConnectionLost as lost:
                connection.close()
                now = monotonic()
                lay_closed = pooled is not None and not lost.answered and now - sent_at <= LONGEST_UNNOTICED_CLOSE
                if not lay_closed or deadline - now < least_seconds:
                    raise PrivateServerBroke("connection_lost") from lost
                first_try = False  # it was closed while it lay idle, and so probably were the others
                self._pool.close()
                continue
            except BaseException as error:
                connection.close()
                if isinstance(error, ReplyNotAcceptable):
                    raise PredictionFailed(error.reason) from error
                if isinstance(error, TimeoutError):
                    raise PrivateServerTimedOut from None
                raise
            if reply.reusable:
                self._pool.give_back(connection)
            else:
                connection.close()
            return reply

    def _result_of(self, reply: Reply, nonce: str) -> bytes:
        if reply.status != 200:
            structlog.get_logger().warning("private_server_refused", status=reply.status)
            if reply.status == 429:
                raise PrivateServerBusy(reply.header("retry-after"))
            usual = PrivateServerBroke if reply.status >= 500 else PredictionFailed
            raise REFUSALS.get(reply.status, usual)(f"status_{reply.status}")
        if reply.header("content-encoding") not in {None, "identity"}:
            raise PredictionFailed("reply_encoded")  # it was not asked for, and 1 MB can unpack to 1 GB
        self._prove_origin(reply, nonce)
        return check_result(reply.body)

    def _prove_origin(self, reply: Reply, nonce: str) -> None:
        if self._verify is ResponseVerification.OFF:
            return
        try:
            verify_response(
                self._keys, nonce=nonce, status=reply.status, headers=reply.headers, body=reply.body, now=self._clock()
            )
        except ResponseNotTrusted as error:
            if self._verify is ResponseVerification.IF_PRESENT and isinstance(error, ResponseNotSigned):
                return
            security_event("private_server_answer_not_trusted", reason=error.reason)
            raise PredictionFailed(error.reason) from error

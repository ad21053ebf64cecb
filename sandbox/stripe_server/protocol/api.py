"""`/v1/…`: one request is checked as Stripe checks it, then carried out under the lock of the books."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from secrets import compare_digest
from typing import Any
from urllib.parse import urlencode

from sandbox.http_listener import Reply, Request
from sandbox.stripe_server.books import Books, Call, Handlers
from sandbox.stripe_server.protocol.faults import Fault, Faults, Trouble
from sandbox.stripe_server.protocol.form_parameters import read_parameters
from sandbox.stripe_server.protocol.idempotency import IdempotencyKeys
from sandbox.stripe_server.protocol.parameter_schemas import operations
from sandbox.stripe_server.protocol.refusals import (
    LockTimeout,
    NotImitated,
    RateLimited,
    Refused,
    ServerError,
    UnknownPath,
    WrongKey,
)


@dataclass(frozen=True)
class Seen:
    """One request as it came: for tests that ask what was sent."""

    verb: str
    path: str
    params: Mapping[str, Any]
    idempotency_key: str | None
    api_version: str | None


class Api:
    def __init__(self, books: Books, secret_key: str, handlers: Handlers, faults: Faults) -> None:
        self.seen: list[Seen] = []
        self.secret_key = secret_key
        """The only one that is let in. Its mode is that of the books."""
        self._books = books
        self._handlers = handlers
        self._faults = faults
        self._keys = IdempotencyKeys()

    def switch_key(self, secret_key: str) -> None:
        self.secret_key = secret_key
        self._keys = IdempotencyKeys()

    def answer(self, request: Request) -> Reply:
        verb = request.method.lower()
        fault = self._faults.next_for(verb, request.path)
        if fault is not None and fault.trouble is Trouble.RESET:
            return Reply(0, hang_up=True)
        headers = {"Request-Id": self._books.new_id("req"), "Stripe-Version": self._books.api_version}
        with self._books.lock:
            try:
                reply = self._carry_out(verb, request, fault, headers)
            except Refused as refused:
                reply = refused.reply(headers)
        if fault is not None and fault.trouble in {Trouble.LOST_ANSWER, Trouble.STALL}:
            return Reply(0, hang_up=True, stall_seconds=fault.stall_seconds)
        if fault is not None and fault.trouble is Trouble.SLOW:
            return replace(reply, stall_seconds=fault.stall_seconds)
        return reply

    def _carry_out(self, verb: str, request: Request, fault: Fault | None, headers: dict[str, str]) -> Reply:
        self._check_key(request.headers.get("authorization", ""))
        encoded = request.body.decode() if verb == "post" else urlencode(request.query, doseq=True)
        key = request.headers.get("idempotency-key") if verb == "post" else None
        for operation in operations():
            arguments = operation.match(verb, request.path)
            if arguments is not None:
                break
        else:
            raise UnknownPath(verb, request.path)
        # Written down before it is judged: a test may ask what was sent with a request that failed.
        version = request.headers.get("stripe-version")
        params = read_parameters(encoded, operation.schema)
        self.seen.append(Seen(verb, request.path, params, key, version))
        self._cause_trouble(fault)
        fingerprint = json.dumps([verb, request.path, params], sort_keys=True)
        if (earlier := self._keys.earlier(key, fingerprint)) is not None:
            return earlier
        handler = self._handlers.get((verb, operation.path))
        if handler is None:
            raise NotImitated(verb, operation.path)
        try:
            if fault is not None and fault.remembered:
                raise ServerError
            done = handler(Call(verb, request.path, arguments, params))
            reply = Reply(200, self._books.rendered(done, params.get("expand", ())), headers)
        except Refused as refused:
            reply = refused.reply(headers)
        self._keys.remember(key, fingerprint, reply)
        return reply

    def _cause_trouble(self, fault: Fault | None) -> None:
        if fault is None or fault.remembered:
            return
        if fault.trouble is Trouble.SERVER_ERROR:
            raise ServerError
        if fault.trouble is Trouble.RATE_LIMIT:
            raise RateLimited
        if fault.trouble is Trouble.LOCK_TIMEOUT:
            raise LockTimeout

    def _check_key(self, authorization: str) -> None:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                raise WrongKey from None
        if not compare_digest(given.encode(), self.secret_key.encode()):
            raise WrongKey

"""Proof that a peer does the work it is measured for, before it is measured."""

import secrets
import time
from contextlib import ExitStack, closing
from typing import Any
from uuid import UUID

import jwt
import orjson
import psycopg2

from bench.callers import GOALS, prediction_request
from bench.load import ask_once
from bench.peers.targets import PEERS, peer_environment
from bench.processors import Processors
from bench.services import Services, private_server
from bench.targets import Addresses
from bench.web_server import web_server
from examples.private_server.mirror_verifier import read_keys
from examples.private_server.server import PrivateServer

DAY_LIMIT = 2
ANSWER_SECONDS = 10.0


class PeerDoesOtherWork(Exception):
    """A peer leaves out something that the gateway does, so its figures would say nothing."""


def check(name: str, services: Services, processors: Processors, *, jwt_key: str, tokens: list[str]) -> None:
    """Ask it what it must refuse and what it must do. Raises PeerDoesOtherWork. `tokens`: of two users that asked no peer yet."""
    refuses_and_writes(name, services, processors, jwt_key=jwt_key, token=tokens[0])
    trusts_only_signed_answers(name, services, processors, jwt_key=jwt_key, token=tokens[1])


def refuses_and_writes(name: str, services: Services, processors: Processors, *, jwt_key: str, token: str) -> None:
    """Against the reference private server, which answers only what is signed as it should be."""
    secret = secrets.token_urlsafe(48)
    with ExitStack() as stack:
        reference = stack.enter_context(PrivateServer(read_keys({"PRIVATE_API_SECRET": secret})))
        addresses = Addresses(services.postgres.ensure_database(name), services.redis_url(8), reference.url, secret)
        environment = peer_environment(addresses, jwt_key=jwt_key, token=token, day_limit=DAY_LIMIT)
        command = PEERS[name]
        first = prediction_request(token, GOALS[0])
        server = stack.enter_context(
            web_server(f"{name}-check", command, environment, first_request=first, processors=processors)
        )
        database = stack.enter_context(closing(psycopg2.connect(addresses.database_url)))
        database.autocommit = True

        def expect(status: int, request: bytes, what: str) -> dict[str, Any]:
            found, body = ask_once(server.port, request, timeout=ANSWER_SECONDS)
            if found != status:
                raise PeerDoesOtherWork(f"{name} answers {what} with {found} instead of {status}: {body[:300]!r}")
            answer: dict[str, Any] = orjson.loads(body)
            return answer

        claims = jwt.decode(token, options={"verify_signature": False})
        forged = jwt.encode(claims, secrets.token_urlsafe(48), "HS256")
        ended = jwt.encode({**claims, "exp": int(time.time()) - 1}, jwt_key, "HS256")
        expect(401, prediction_request(forged, GOALS[0]), "a token that another key signed")
        expect(401, prediction_request(ended, GOALS[0]), "a token that has ended")
        expect(401, first.replace(b"Authorization: Bearer", b"X-Authorization:"), "a request without a token")
        answer = expect(200, first, "a prediction within the day's limit")
        if not isinstance(answer.get("prediction"), dict):
            raise PeerDoesOtherWork(f"{name} answers with no prediction: {answer}")
        written = UUID(answer["metadata"]["request_id"])
        with database.cursor() as cursor:
            cursor.execute("SELECT success FROM predictions WHERE id = %s", (str(written),))
            if cursor.fetchone() != (True,):
                raise PeerDoesOtherWork(f"{name} answers before its row is committed")
        expect(429, first, "a prediction beyond the day's limit")


def trusts_only_signed_answers(
    name: str, services: Services, processors: Processors, *, jwt_key: str, token: str
) -> None:
    """Against a private server that signs with another key."""
    with private_server(secret=secrets.token_urlsafe(48), delay_ms=0) as private_url:
        addresses = Addresses(
            services.postgres.ensure_database(name), services.redis_url(8), private_url, secrets.token_urlsafe(48)
        )
        environment = peer_environment(addresses, jwt_key=jwt_key, token=token)
        request = prediction_request(token, GOALS[0])
        with web_server(
            f"{name}-check", PEERS[name], environment, first_request=request, processors=processors, first_status=502
        ):
            pass  # it answered 502

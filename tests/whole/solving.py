"""Customers who have pictures solved."""

import secrets
from base64 import b64encode
from random import Random

from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.solve.made_pictures import formula
from tests.whole.players import Players, Refused
from tests.whole.web_server import Person, WebServer

SOLVE = "/api/gateway/solve"
PROVIDER_SECONDS = 1.5
BODY = {"image": b64encode(formula()).decode()}
TROUBLES = (
    NextAnswer(delay_seconds=0.5),
    NextAnswer(delay_seconds=2 * PROVIDER_SECONDS),
    NextAnswer(stall_after_bytes=30),
    NextAnswer(status=400),
    NextAnswer(status=429),
    NextAnswer(status=500),
    NextAnswer(reset=True),
    NextAnswer(cut_after_bytes=20),
    NextAnswer(body="<html>"),
    NextAnswer(finish="content_filter"),
    NextAnswer(usage="none"),
)


class Solving(Players):
    """Half of them send a key, and ask again with it until there is a solution."""

    def ask(self, server: WebServer, person: Person, chance: Random) -> None:
        if chance.random() < 0.5:
            reply = self.until_answered(server, person, SOLVE, BODY, secrets.token_urlsafe(16))
        else:
            reply = server.post(SOLVE, BODY, person.access_token)
        if reply.status != 200:
            raise Refused(reply.status, reply.error)
        self.note("200", reply.json()["request_id"])

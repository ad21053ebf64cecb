"""A small API for the tests of the request's edge: every outcome of the edge, and nothing behind it."""

from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, Flask, request
from pydantic import Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema
from werkzeug.test import TestResponse

from security.api.docs_pages import docs_routes
from security.api.openapi import ApiDescription, openapi_routes
from security.api.operation import WHOLE, Answer, AnswerBody, Anyone, Body, OneOfBody, operation
from security.edge.api_flask import ApiFlask
from security.edge.cors import install_cors
from security.edge.edge import install_edge
from security.edge.problems import InvalidToken, NotSignedIn, Problem
from security.logs.log import RequestLog

BODY_LIMIT = 20_000
ALLOWED_ORIGIN = "https://app.example.com"
ALICE = UUID("0193a5b0-7c1e-7000-8000-0242ac120002")
BOB = UUID("0193a5b0-7c1e-7000-8000-0242ac120003")

TOY_DESCRIPTION = ApiDescription("Toy", "1.0.0", server="https://api.example.com", tags={"toy": "Wishes."})


class Options(Body):
    enhanced: bool = False
    level: Literal["low", "medium", "high"] = "medium"


class Wish(Body):
    goal: str = Field(min_length=1, max_length=400)
    count: Annotated[int, Field(ge=0, le=10), WHOLE] = 1
    options: Options = Options()


class Filter(Body):
    limit: Annotated[int, Field(ge=1, le=100), WHOLE] = 20
    state: list[Literal["open", "closed"]] = []
    mine: bool = False
    before: UUID | None = None


class ByCoin(Body):
    coins: int


class ByNote(Body):
    note: int
    serial: str


def _form_of(document: Any) -> str | None:
    return "coin" if isinstance(document, dict) and "coins" in document else "note"


class Payment(
    OneOfBody[Annotated[Annotated[ByCoin, Tag("coin")] | Annotated[ByNote, Tag("note")], Discriminator(_form_of)]]
):
    """By coin or by note."""


class Paid(AnswerBody):
    state: Literal["paid"] = "paid"
    amount: int
    serial: str | SkipJsonSchema[None] = Field(default=None, exclude_if=lambda serial: serial is None)


class Granted(AnswerBody):
    goal: str
    count: int


class Found(AnswerBody):
    limit: int
    state: list[str]
    mine: bool


class Caller:
    user_id = ALICE
    impersonated_by: UUID | None = None


class KnownBearer:
    scheme = "bearer"
    problems: tuple[type[Problem], ...] = (NotSignedIn, InvalidToken)

    def admit(self) -> Caller:
        credential = request.headers.get("Authorization")
        if credential is None:
            raise NotSignedIn
        caller = Caller()
        if credential == "Bearer good of somebody else":
            caller.impersonated_by = BOB
        elif credential != "Bearer good":
            raise InvalidToken
        return caller


class MalformedKey(Problem):
    status, error, title = 400, "malformed_key", "The key is not well formed"


def toy_routes() -> Blueprint:
    routes = Blueprint("toy", __name__, url_prefix="/toy")
    everyone = Anyone("a test")

    @operation(
        routes,
        "POST",
        "/wishes",
        operation_id="createWish",
        summary="Wish",
        guard=everyone,
        body=Wish,
        body_limit=BODY_LIMIT,
        answers={200: Granted},
    )
    def wish(body: Wish) -> Answer:
        return Answer(200, Granted(goal=body.goal, count=body.count))

    @operation(
        routes,
        "PUT",
        "/wishes",
        operation_id="replaceWish",
        summary="Wish by name",
        guard=KnownBearer(),
        body=Wish,
        answers={200: Granted},
        problems=(MalformedKey,),
        accepts_idempotency_key=True,
        answer_headers={"RateLimit": "What is left."},
    )
    def wish_by_name(body: Wish, caller: Caller) -> Answer:
        """Wishes with a name come true sooner."""
        key = request.headers.get("Idempotency-Key")
        if key is not None and not (1 <= len(key) <= 255 and all("!" <= character <= "~" for character in key)):
            raise MalformedKey
        return Answer(200, Granted(goal=body.goal, count=body.count), {"RateLimit": '"day";r=1'})

    @operation(
        routes,
        "GET",
        "/wishes",
        operation_id="listWishes",
        summary="List",
        guard=everyone,
        query=Filter,
        answers={200: Found},
    )
    def wishes(query: Filter) -> Answer:
        return Answer(200, Found(limit=query.limit, state=list(query.state), mine=query.mine))

    @operation(
        routes,
        "DELETE",
        "/wishes/<uuid:wish_id>",
        operation_id="deleteWish",
        summary="Drop",
        guard=everyone,
        answers={204: None},
    )
    def drop(wish_id: UUID) -> Answer:
        return Answer(204)

    @operation(
        routes,
        "POST",
        "/payments",
        operation_id="createPayment",
        summary="Pay",
        guard=everyone,
        body=Payment,
        answers={200: Paid},
    )
    def pay(body: Payment) -> Answer:
        means = body.root
        if isinstance(means, ByCoin):
            return Answer(200, Paid(amount=means.coins))
        return Answer(200, Paid(amount=means.note, serial=means.serial))

    return routes


def toy_app(
    *,
    cors_origins: frozenset[str] = frozenset({ALLOWED_ORIGIN}),
    require_https: bool = False,
    trusted_proxy_hops: int = 0,
    trusted_hosts: tuple[str, ...] = (),
    request_log: RequestLog | None = None,
) -> Flask:
    app = ApiFlask("toy")
    install_edge(
        app,
        require_https=require_https,
        trusted_proxy_hops=trusted_proxy_hops,
        trusted_hosts=trusted_hosts,
        request_log=request_log,
    )
    app.register_blueprint(toy_routes())
    app.register_blueprint(openapi_routes(TOY_DESCRIPTION))
    app.register_blueprint(docs_routes("Toy"))
    install_cors(app, cors_origins)
    return app


def told(answer: TestResponse) -> Any:
    """The JSON of an answer, a problem's included."""
    return answer.get_json(force=True)

"""A small API for the tests of the request's edge: every outcome of the edge, and nothing behind it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from threading import Event
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, Flask, request
from pydantic import Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema
from werkzeug.test import TestResponse

from security.api.answers import Page
from security.api.models import WHOLE, AnswerBody, Body, OneOfBody
from security.api.multipart import FilePart, Form, Multipart
from security.api.openapi import ApiDescription, openapi_routes
from security.api.operation import Answer, Anyone, operation
from security.api.request_bodies import LARGEST_BODY, Json, Raw
from security.api.slots import Slots
from security.api.streams import PING, Csv, Events
from security.api.streams import Event as SentEvent
from security.docs.docs_pages import docs_routes
from security.edge.api_flask import ApiFlask
from security.edge.cors import install_cors
from security.edge.edge import install_edge
from security.edge.problems import InvalidToken, NotSignedIn, Problem
from security.home.routes import home_routes
from security.logs.log import RequestLog

BODY_LIMIT = 20_000
PHOTO_SLOTS = 4
ALLOWED_ORIGIN = "https://app.example.com"
MAIL_BOX = "http://127.0.0.1:8025"
ALICE = UUID("0193a5b0-7c1e-7000-8000-0242ac120002")
BOB = UUID("0193a5b0-7c1e-7000-8000-0242ac120003")

TOY_DESCRIPTION = ApiDescription(
    "Toy", "1.0.0", server="https://api.example.com", tags={"home": "Where everything is.", "toy": "Wishes."}
)


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


class Following(Body):
    stream: bool = True
    waits: bool = False
    fails: Literal["never", "first", "later", "unexpectedly"] = "never"


class Exported(Body):
    rows: int = 2
    fails_at: int = -1


class Row(AnswerBody):
    name: str
    amount: int
    note: str | None
    at: datetime
    paid: bool


class PictureFields(Body):
    title: str = Field(min_length=1)
    level: Literal["low", "high"] = "low"
    size: Annotated[int, Field(ge=1), WHOLE] | None = None
    labels: list[str] = []


class PictureTaken(AnswerBody):
    title: str
    sha256: str | None = None
    notes: list[str] = []


class Received(AnswerBody):
    size: int
    sha256: str


class Photo(Body):
    image: str = Field(min_length=1)
    prompt: str = "Describe"


class PhotoFields(Body):
    prompt: str = "Describe"


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
        body=Json(Wish, limit=BODY_LIMIT),
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
        accepts_idempotency_key=True,
        answer_headers={"RateLimit": "What is left."},
    )
    def wish_by_name(body: Wish, caller: Caller, idempotency_key: str | None) -> Answer:
        """Wishes with a name come true sooner."""
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
    )
    def drop(wish_id: UUID) -> None:
        """Returns nothing, so the answer is 204."""

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

    declare_kinds(routes, everyone)
    return routes


def declare_kinds(routes: Blueprint, everyone: Anyone) -> None:
    """One operation for each kind of answer and of body that is not JSON alone."""
    released = Event()

    @operation(
        routes,
        "GET",
        "/events",
        operation_id="followWishes",
        summary="Follow",
        guard=everyone,
        query=Following,
        answers={200: (Paid, Events(wish=Granted, paid=Paid))},
        answer_headers={"RateLimit": "What is left."},
        problems=(MalformedKey,),
    )
    def follow(query: Following) -> Answer:
        if query.stream:
            return Answer(200, wishes_come(query.fails, released if query.waits else None), {"RateLimit": '"day";r=1'})
        return Answer(200, Paid(amount=1))

    @operation(
        routes,
        "POST",
        "/release",
        operation_id="releaseWishes",
        summary="Release",
        guard=everyone,
    )
    def release() -> None:
        released.set()

    @operation(
        routes,
        "GET",
        "/wishes.csv",
        operation_id="exportWishes",
        summary="Export",
        guard=everyone,
        query=Exported,
        answers={200: Csv(Row)},
    )
    def export(query: Exported) -> Answer:
        return Answer(200, rows(query), {"Content-Disposition": 'attachment; filename="wishes.csv"'})

    @operation(
        routes,
        "POST",
        "/pictures",
        operation_id="createPicture",
        summary="Add a picture",
        guard=everyone,
        body=(
            Json(Wish),
            Multipart(
                {
                    "picture": FilePart(("image/png", "image/jpeg"), limit=1_000_000),
                    "notes": FilePart(("text/plain",), limit=100, required=False, most=2),
                },
                limit=1_200_000,
                model=PictureFields,
                most_parts=6,
            ),
        ),
        answers={200: PictureTaken},
    )
    def picture(body: Wish | Form) -> Answer:
        if isinstance(body, Wish):
            return Answer(200, PictureTaken(title=body.goal))
        (file,) = body.files["picture"]
        notes = [note.read().decode() for note in body.files["notes"]]
        return Answer(200, PictureTaken(title=body.fields.title, sha256=sha256(file.read()).hexdigest(), notes=notes))

    @operation(
        routes,
        "POST",
        "/photos",
        operation_id="createPhoto",
        summary="Add a photo",
        guard=KnownBearer(),
        body=(
            Json(Photo, limit=LARGEST_BODY),
            Multipart({"image": FilePart((), limit=15_000_000)}, limit=LARGEST_BODY, model=PhotoFields, most_parts=4),
        ),
        answers={200: Received},
        within=Slots(PHOTO_SLOTS, seconds=1),
    )
    def photo(body: Photo | Form, caller: Caller) -> Answer:
        image = body.image.encode() if isinstance(body, Photo) else body.files["image"][0].read()
        return Answer(200, Received(size=len(image), sha256=sha256(image).hexdigest()))

    @operation(
        routes,
        "PATCH",
        "/uploads/<uuid:upload_id>",
        operation_id="appendToUpload",
        summary="Append",
        guard=everyone,
        body=Raw("application/offset+octet-stream", limit=1_500_000),
        answers={200: Received},
    )
    def append(upload_id: UUID, body: bytes) -> Answer:
        return Answer(200, Received(size=len(body), sha256=sha256(body).hexdigest()))

    @operation(
        routes,
        "POST",
        "/hooks",
        operation_id="receiveHook",
        summary="Receive",
        guard=everyone,
        body=Raw("application/json", limit=BODY_LIMIT),
        answers={200: Received},
    )
    def hook(body: bytes) -> Answer:
        return Answer(200, Received(size=len(body), sha256=sha256(body).hexdigest()))

    @operation(
        routes,
        "GET",
        '/reports/<any("daily", "monthly"):period>',
        operation_id="getReport",
        summary="Report",
        guard=everyone,
        answers={200: Granted},
    )
    def report(period: str) -> Answer:
        return Answer(200, Granted(goal=period, count=1))

    @operation(
        routes,
        "GET",
        "/page",
        operation_id="page",
        summary="A page",
        guard=everyone,
        answers={200: Page("style-src 'self'")},
    )
    def page() -> Answer:
        return Answer(200, "<!doctype html><title>Wishes</title>")


def wishes_come(fails: str, released: Event | None) -> Iterator[SentEvent | bytes]:
    if fails == "first":
        raise MalformedKey
    yield SentEvent(Granted(goal="run\nfar", count=1), "wish", "1")
    yield PING
    if released is not None:
        assert released.wait(20)
    if fails == "later":
        raise MalformedKey("It broke")
    if fails == "unexpectedly":
        raise RuntimeError("secret")
    yield SentEvent(Paid(amount=3), "paid")


def rows(query: Exported) -> Iterator[Row]:
    for number in range(query.rows):
        if number == query.fails_at:
            raise RuntimeError("secret")
        yield Row(name=f'=cmd|"{number}"', amount=-number, note=None, at=datetime(2026, 1, 31, tzinfo=UTC), paid=True)


def toy_app(
    *,
    cors_origins: frozenset[str] = frozenset({ALLOWED_ORIGIN}),
    require_https: bool = False,
    trusted_proxy_hops: int = 0,
    trusted_hosts: tuple[str, ...] = (),
    request_log: RequestLog | None = None,
    mail_box_url: str | None = MAIL_BOX,
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
    app.register_blueprint(home_routes("Toy", "1.0.0", base_url="https://api.example.com", mail_box_url=mail_box_url))
    install_cors(app, cors_origins)
    return app


def told(answer: TestResponse) -> Any:
    """The JSON of an answer, a problem's included."""
    return answer.get_json(force=True)

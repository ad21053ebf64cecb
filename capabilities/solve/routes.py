"""Image solving, beside predictions under /api/gateway."""

from flask import Blueprint

from auth.principal import Caller
from capabilities.solve.bodies import SolveAnswer, SolveBody, SolveFields
from capabilities.solve.pictures.problems import PICTURE_PROBLEMS
from capabilities.solve.plan_limits import LARGEST_PICTURE
from capabilities.solve.sent_picture import SentPicture
from capabilities.solve.solve_picture import PATH, PictureSolver, Question
from database.base import Clock
from metering.metered_calls import METERED_PROBLEMS
from metering.rate_limit_headers import METERED_HEADERS
from metering.usage.budget import BudgetReached
from payments.billing.purse import BillingLimitReached, BillingOverdue
from providers.problems import PROVIDER_PROBLEMS
from security.api.multipart import FilePart, Form, Multipart
from security.api.operation import Answer, Guard, operation
from security.api.request_bodies import Json
from security.api.slots import Slots
from security.edge.problems import ValidationFailed, field_error

LARGEST_BODY = 20_000_000
SOLVE_PROBLEMS = (
    BudgetReached,
    BillingLimitReached,
    BillingOverdue,
    *METERED_PROBLEMS,
    *PICTURE_PROBLEMS,
    *PROVIDER_PROBLEMS,
)
UNDER, _, LAST = PATH.rpartition("/")


def solve_routes(solver: PictureSolver, clock: Clock, *, guard: Guard, slots: Slots) -> Blueprint:
    routes = Blueprint("solve", __name__, url_prefix=UNDER)

    @operation(
        routes,
        "POST",
        f"/{LAST}",
        operation_id="solvePicture",
        summary="Solve a picture",
        guard=guard,
        within=slots,
        body=(
            Json(SolveBody, limit=LARGEST_BODY),
            Multipart({"image": FilePart((), LARGEST_PICTURE)}, SolveFields, limit=LARGEST_BODY, most_parts=10),
        ),
        answers={200: SolveAnswer},
        answer_headers=METERED_HEADERS,
        accepts_idempotency_key=True,
        problems=SOLVE_PROBLEMS,
    )
    def solve(caller: Caller, body: SolveBody | Form, idempotency_key: str | None) -> Answer:
        """Uses one solve of your plan and costs its price, but only when you receive a solution.

        Send the picture as JPEG, PNG, WebP or GIF: in base64 in a JSON body, or as a file of a form. It is turned upright, made
        smaller if needed, and freed of its metadata before an AI provider gets it. Neither the picture nor the prompt is kept.
        If you repeat a request with the same `Idempotency-Key`, you get the stored answer at no cost.
        """
        picture = body.image if isinstance(body, SolveBody) else picture_of(body)
        fields: SolveFields = body if isinstance(body, SolveBody) else body.fields
        question = Question(picture, fields, solver.model_named(fields.model, clock()), idempotency_key)
        solution = solver.solve(caller, question)
        return Answer(200, solution.body, solution.headers)

    return routes


def picture_of(form: Form) -> SentPicture:
    """Raises ValidationFailed."""
    (file,) = form.files["image"]
    with file.stream as stream:
        data = stream.read()
    if not data:
        raise ValidationFailed([field_error(["image"], "value_error", "The picture is empty")])
    return SentPicture(data)

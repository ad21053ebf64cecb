"""Reads the body of POST /predict. The signature proves who wrote it, not that it makes sense."""

import json
from typing import Any, NoReturn

from examples.private_server.baseline_forecast import Z_SCORES, Question


class QuestionInvalid(Exception):
    """The request cannot be answered. `status` is 400 for what is no JSON, 422 for wrong values."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


def read_question(body: bytes) -> Question:
    """Unknown members are left alone, so that a newer gateway can send more. Raises QuestionInvalid."""
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise QuestionInvalid(400, "malformed_json", "the body is not a JSON document in UTF-8") from None
    if not isinstance(document, dict):
        raise _invalid("the body must be a JSON object")
    options = document.get("options")
    if options is None:
        options = {}
    if not isinstance(options, dict):
        raise _invalid("options must be an object")
    level = options.get("confidence_level", "medium")
    if not isinstance(level, str) or level not in Z_SCORES:
        raise _invalid(f"confidence_level must be one of {', '.join(Z_SCORES)}")
    grounding = options.get("enhanced_grounding", False)
    if not isinstance(grounding, bool):
        raise _invalid("enhanced_grounding must be true or false")
    goal = _text(document, "goal")
    if not goal.strip():
        raise _invalid("goal is missing")
    return Question(goal, _text(document, "timeframe"), _text(document, "context"), grounding, level)


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 10_000:
        raise _invalid(f"{name} must be a text of at most 10,000 characters")
    return value


def _invalid(detail: str) -> QuestionInvalid:
    return QuestionInvalid(422, "validation_failed", detail)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

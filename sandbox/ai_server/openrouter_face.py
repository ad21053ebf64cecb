"""OpenRouter: OpenAI's format with members of its own. Errors carry their status as `code`."""

from collections.abc import Collection, Mapping
from typing import Any

from sandbox.ai_server.catalogue import Model
from sandbox.ai_server.faces import Body
from sandbox.ai_server.openai_face import OpenAIFace, dotted
from sandbox.ai_server.questions import Answer, Question
from sandbox.ai_server.refusals import Refused, WrongParameter
from sandbox.ai_server.speech import Speakers

AUTO = "openrouter/auto"
CHOSEN_BY_AUTO = "anthropic/claude-sonnet-5.5"
MODELS = {name: Model(name, sees_pictures=False) for name in (AUTO, CHOSEN_BY_AUTO, "openai/gpt-6-luna")}
KEY_PATH = "/key"
MESSAGES = {
    401: "No auth credentials found",
    402: "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
    403: "Your input was flagged",
    404: "No endpoints found that can handle the requested parameters.",
    408: "Your request timed out",
    429: "Rate limit exceeded",
    502: "Provider returned error",
    503: "No allowed providers are available for the selected model.",
}


class OpenRouterFace(OpenAIFace):
    name = "openrouter"
    listeners: Collection[str] = ()
    speakers = Speakers()
    prefix = "/openrouter/api/v1"
    owner = "openrouter"
    id_prefix = "gen-"

    @property
    def models(self) -> Mapping[str, Model]:
        return MODELS

    def wrong_key(self, given: str) -> Refused:
        return Refused(401, "User not found." if given else MESSAGES[401])

    def unknown_model(self, name: str) -> Refused:
        return Refused(400, f"{name} is not a valid model ID")

    def unknown_path(self, method: str, path: str) -> Refused:
        return Refused(404, "Not Found")

    def wrong_parameter(self, wrong: WrongParameter) -> Refused:
        return Refused(400, f"{dotted(wrong.path)}: {wrong.fault}")

    def trouble(self, status: int) -> Refused:
        return Refused(status, MESSAGES.get(status, "Internal Server Error"))

    def read(self, body: Any) -> Question:
        """A schema needs a provider that knows it, or some answer without."""
        if not isinstance(body, dict):
            return super().read(body)
        routing = body.get("provider", {})
        if not isinstance(routing, dict) or routing.keys() - {"require_parameters"}:
            raise Refused(400, "provider: unrecognized key")
        if "response_format" in body and routing.get("require_parameters") is not True:
            raise Refused(400, "this stand-in wants provider.require_parameters beside a response_format")
        return super().read({name: value for name, value in body.items() if name != "provider"})

    def rendered(self, question: Question, answer: Answer, request_id: str) -> Body:
        body = super().rendered(question, answer, request_id)
        if question.model == AUTO:
            body["model"] = CHOSEN_BY_AUTO
        return {**body, "provider": "Stand-in"}

    def error_body(self, refused: Refused, request_id: str) -> Body | list[Body]:
        error: Body = {"code": refused.status, "message": refused.message}
        if refused.status == 403:
            error["metadata"] = {"reasons": ["violence"], "flagged_input": "…", "provider_name": "Stand-in"}
        return {"error": error, "user_id": None}

    def key_body(self, key: str) -> Body:
        """As OpenRouter shows keys: their first and last characters."""
        return {
            "data": {
                "label": f"{key[:12]}...{key[-3:]}",
                "limit": 10,
                "limit_remaining": 7.5,
                "usage": 2.5,
                "usage_daily": 0.5,
                "is_free_tier": False,
                "rate_limit": {"requests": -1, "interval": "10s"},
            }
        }

    def headers(self, request_id: str) -> dict[str, str]:
        return {"x-generation-id": request_id}

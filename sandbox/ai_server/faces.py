"""What every face is to the server: how it checks, reads, answers and refuses."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from sandbox.ai_server.catalogue import Model
from sandbox.ai_server.questions import Answer, Question
from sandbox.ai_server.refusals import Refused, WrongParameter, WrongPicture
from sandbox.ai_server.speech import Speakers
from sandbox.ai_server.streams import Stream

Headers = Mapping[str, str]
Body = dict[str, Any]


class Face(Protocol):
    name: str
    prefix: str
    """Of its paths, as in https://api.openai.com/v1."""
    call_path: str
    """Below the prefix: where questions are sent."""
    listeners: Collection[str]
    """The models that transcribe recordings."""
    speakers: Speakers

    @property
    def models(self) -> Mapping[str, Model]: ...

    def given_key(self, headers: Headers) -> str: ...

    def check_headers(self, headers: Headers) -> None: ...

    def wrong_key(self, given: str) -> Refused: ...

    def unknown_model(self, name: str) -> Refused: ...

    def unknown_path(self, method: str, path: str) -> Refused: ...

    def wrong_parameter(self, wrong: WrongParameter) -> Refused: ...

    def wrong_picture(self, wrong: WrongPicture) -> Refused: ...

    def not_json(self) -> Refused: ...

    def trouble(self, status: int) -> Refused: ...

    def read(self, body: Any) -> Question:
        """Raises WrongParameter, WrongPicture, Refused."""

    def rendered(self, question: Question, answer: Answer, request_id: str) -> Body: ...

    def streamed(self, question: Question, answer: Answer, request_id: str) -> Stream: ...

    def error_body(self, refused: Refused, request_id: str) -> Body | list[Body]: ...

    def model_list(self) -> Body: ...

    def model_body(self, model: Model) -> Body: ...

    def headers(self, request_id: str) -> dict[str, str]: ...

"""The stand-in for AI providers: its faces, their keys, the books and its port on loopback."""

import json
import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from sandbox.ai_server.anthropic_face import AnthropicFace
from sandbox.ai_server.books import Books, Entry, now
from sandbox.ai_server.controls import Controls
from sandbox.ai_server.delivery import delivered
from sandbox.ai_server.faces import Body, Face
from sandbox.ai_server.next_answers import NextAnswer, NextAnswers
from sandbox.ai_server.openai_face import GoogleFace, GroqFace, OpenAIFace
from sandbox.ai_server.questions import answer_to
from sandbox.ai_server.refusals import Refused, WrongParameter, WrongPicture
from sandbox.http_listener import Listener, Reply, Request

KEY_PREFIXES = {"openai": "sk-proj-", "anthropic": "sk-ant-api03-", "google": "AIza", "groq": "gsk_"}
LARGEST_BODY = 32 * 1024 * 1024
HELD_SECONDS = 60.0
SECRET_HEADERS = {"authorization", "x-api-key"}


class AIServer:
    """Start it, and give `base_url("openai")` and `keys["openai"]` to the application or to the SDK."""

    def __init__(self, *, keys: Mapping[str, str] | None = None, port: int = 0) -> None:
        self.faces: tuple[Face, ...] = (OpenAIFace(), AnthropicFace(), GoogleFace(), GroqFace())
        self.keys = {face.name: f"{KEY_PREFIXES[face.name]}{secrets.token_hex(20)}" for face in self.faces}
        self.keys.update(keys or {})
        self.books = Books()
        self.next = NextAnswers()
        self._controls = Controls(self)
        self._listener = Listener(self.answer, port, largest_body=LARGEST_BODY)

    @property
    def url(self) -> str:
        return self._listener.url

    def base_url(self, face: str) -> str:
        """What the SDK of that provider takes as its base address. Anthropic's puts /v1 behind it."""
        prefix = next(each.prefix for each in self.faces if each.name == face)
        return f"{self.url}{prefix.removesuffix('/v1') if face == 'anthropic' else prefix}"

    def start(self) -> None:
        """Also after a stop: same port, same books."""
        self._listener.start()

    def stop(self) -> None:
        self.next.clear()
        self._listener.stop()

    def answer(self, request: Request) -> Reply:
        if request.path.startswith("/controls/"):
            return self._controls.answer(request)
        for face in self.faces:
            if request.path.startswith(f"{face.prefix}/"):
                return self._answer_as(face, request)
        return Reply(404, {"error": "no such face", "faces": [f"{face.prefix}/" for face in self.faces]})

    def _answer_as(self, face: Face, request: Request) -> Reply:
        entry = self._entry(face, request)
        wanted = self.next.next_for(face.name) if request.method == "POST" else NextAnswer()
        self.books.open(entry)
        reply = Reply(0, hang_up=True)
        try:
            if wanted.hold:
                self.next.released.wait(HELD_SECONDS)
            if not wanted.reset:
                reply = self._reply(face, request, entry, wanted)
            return reply
        finally:
            self.books.close(entry, reply.status)

    def _reply(self, face: Face, request: Request, entry: Entry, wanted: NextAnswer) -> Reply:
        headers = face.headers(entry.request_id)
        try:
            if wanted.redirect_to is not None:
                return Reply(307, None, {**headers, "Location": wanted.redirect_to})
            if wanted.status is not None:
                raise face.trouble(wanted.status)
            parts, stream = self._parts(face, request, entry, wanted)
        except Refused as refused:
            if refused.status == 429 or wanted.retry_after is not None:
                headers["retry-after"] = str(wanted.retry_after or 20)
            return delivered(
                refused.status, [json.dumps(face.error_body(refused, entry.request_id))], headers, wanted, stream=False
            )
        return delivered(200, parts, headers, wanted, stream=stream)

    def _parts(self, face: Face, request: Request, entry: Entry, wanted: NextAnswer) -> tuple[list[str], bool]:
        """The body, or the events of a stream. Raises Refused, in the words of the face."""
        given = face.given_key(request.headers)
        if not secrets.compare_digest(given.encode(), self.keys[face.name].encode()):
            raise face.wrong_key(given)
        face.check_headers(request.headers)
        path = request.path.removeprefix(face.prefix)
        if request.method == "GET" and path == "/models":
            return [json.dumps(face.model_list())], False
        if request.method == "GET" and path.startswith("/models/"):
            return [json.dumps(self._model(face, path.removeprefix("/models/")))], False
        if request.method != "POST" or path != face.call_path:
            raise face.unknown_path(request.method, request.path)
        return self._worked_on(face, request, entry, wanted)

    def _worked_on(self, face: Face, request: Request, entry: Entry, wanted: NextAnswer) -> tuple[list[str], bool]:
        try:
            question = face.read(read_json(face, request.body))
        except WrongParameter as wrong:
            raise face.wrong_parameter(wrong) from None
        except WrongPicture as wrong:
            raise face.wrong_picture(wrong) from None
        entry.model, entry.streamed = question.model, question.stream
        entry.pictures.extend(question.pictures)
        entry.text_sha256 = sha256(question.text.encode()).hexdigest()
        answer = answer_to(question, wanted)
        entry.input_tokens, entry.output_tokens, entry.billed = answer.input_tokens, answer.output_tokens, True
        if wanted.body is not None:
            return [wanted.body], question.stream
        if question.stream:
            return list(face.streamed(question, answer, entry.request_id)), True
        return [json.dumps(face.rendered(question, answer, entry.request_id), ensure_ascii=False)], False

    def _model(self, face: Face, name: str) -> Body:
        model = face.models.get(name.removeprefix("models/"))
        if model is None:
            raise face.unknown_model(name)
        return face.model_body(model)

    def _entry(self, face: Face, request: Request) -> Entry:
        headers = request.headers
        return Entry(
            request_id=f"req_{secrets.token_hex(12)}",
            face=face.name,
            method=request.method,
            path=request.path,
            key=face.given_key(headers)[-4:],
            client_request_id=headers.get("x-client-request-id") or headers.get("x-request-id"),
            idempotency_key=headers.get("idempotency-key"),
            received_at=now(),
            headers={name: value for name, value in headers.items() if name not in SECRET_HEADERS},
        )


def read_json(face: Face, body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise face.not_json() from None

"""The stand-in for AI providers: its faces, their keys, the books and its port on loopback."""

import asyncio
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

from sandbox.ai_server import speech, transcriptions
from sandbox.ai_server.anthropic_face import AnthropicFace
from sandbox.ai_server.books import Books, Entry, now
from sandbox.ai_server.connection import Connection
from sandbox.ai_server.controls import Controls
from sandbox.ai_server.delivery import JSON, Delivery, head_of
from sandbox.ai_server.faces import Body, Face
from sandbox.ai_server.listener import Listener
from sandbox.ai_server.next_answers import NextAnswer, NextAnswers
from sandbox.ai_server.openai_face import GoogleFace, GroqFace, OpenAIFace
from sandbox.ai_server.openrouter_face import KEY_PATH, OpenRouterFace
from sandbox.ai_server.questions import answer_to
from sandbox.ai_server.refusals import Refused, WrongParameter, WrongPicture
from sandbox.ai_server.streams import Stream
from sandbox.http_listener import Request

KEY_PREFIXES = {
    "openai": "sk-proj-",
    "anthropic": "sk-ant-api03-",
    "google": "AIza",
    "groq": "gsk_",
    "openrouter": "sk-or-v1-",
}
LARGEST_BODY = 32 * 1024 * 1024
SECRET_HEADERS = {"authorization", "x-api-key"}


class AIServer:
    """Start it, and give `base_url("openai")` and `keys["openai"]` to the application or to the SDK."""

    def __init__(
        self, *, keys: Mapping[str, str] | None = None, port: int = 0, usual: NextAnswer | None = None
    ) -> None:
        self.faces: tuple[Face, ...] = (
            OpenAIFace(),
            AnthropicFace(),
            GoogleFace(),
            GroqFace(),
            OpenRouterFace(),
        )
        self.keys = {face.name: f"{KEY_PREFIXES[face.name]}{secrets.token_hex(20)}" for face in self.faces}
        self.keys.update(keys or {})
        self.books = Books()
        self.next = NextAnswers(usual)
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

    async def answer(self, request: Request, connection: Connection) -> None:
        for face in self.faces:
            if request.path.startswith(f"{face.prefix}/"):
                return await self._answer_as(face, request, connection)
        if request.path.startswith("/controls/"):
            status, body = self._controls.answer(request)
        else:
            status, body = 404, {"error": "no such face", "faces": [f"{face.prefix}/" for face in self.faces]}
        content = json.dumps(body).encode()
        head = head_of(status, {"Content-Type": JSON, "Content-Length": str(len(content))})
        return await connection.write(head + content)

    async def _answer_as(self, face: Face, request: Request, connection: Connection) -> None:
        entry = self._entry(face, request)
        costs_or_knows_keys = request.method == "POST" or request.path == f"{OpenRouterFace.prefix}{KEY_PATH}"
        wanted = self.next.next_for(face.name) if costs_or_knows_keys else NextAnswer()
        self.books.open(entry)
        connection.when_left = partial(self.books.client_left, entry)
        try:
            if wanted.hold:
                await self.next.until_released()
            if wanted.reset:
                entry.status = 0
                return connection.close()
            # In a thread: the SDK's types are imported and pictures decoded there, and other streams would wait for it.
            status, headers, body = await asyncio.to_thread(self._made, face, request, entry, wanted)
            return await Delivery(connection, wanted, entry, self.books).deliver(status, headers, body)
        finally:
            connection.when_left = None
            self.books.close(entry)

    def _made(
        self, face: Face, request: Request, entry: Entry, wanted: NextAnswer
    ) -> tuple[int, dict[str, str], str | bytes | Stream]:
        headers = face.headers(entry.request_id)
        try:
            if wanted.redirect_to is not None:
                return 307, {**headers, "Location": wanted.redirect_to}, ""
            if wanted.status is not None:
                raise face.trouble(wanted.status)
            body = self._body(face, request, entry, wanted)
        except Refused as refused:
            if refused.status == 429 or wanted.retry_after is not None:
                headers["retry-after"] = str(wanted.retry_after or 20)
            status = 200 if wanted.error_in_body else refused.status
            return status, headers, json.dumps(face.error_body(refused, entry.request_id))
        if isinstance(body, Spoken):
            return 200, {**headers, "Content-Type": body.media_type}, body.audio
        return 200, headers, body

    def _body(self, face: Face, request: Request, entry: Entry, wanted: NextAnswer) -> "str | Spoken | Stream":
        """Raises Refused, in the words of the face."""
        given = face.given_key(request.headers)
        if not secrets.compare_digest(given.encode(), self.keys[face.name].encode()):
            raise face.wrong_key(given)
        face.check_headers(request.headers)
        path = request.path.removeprefix(face.prefix)
        if request.method == "GET" and path == KEY_PATH and isinstance(face, OpenRouterFace):
            return json.dumps(face.key_body(given)) if wanted.body is None else wanted.body
        if request.method == "GET" and path == "/models":
            return json.dumps(face.model_list())
        if request.method == "GET" and path.startswith("/models/"):
            return json.dumps(self._model(face, path.removeprefix("/models/")))
        if request.method == "POST" and path == face.call_path:
            return self._answered(face, request, entry, wanted)
        if request.method == "POST" and path == transcriptions.PATH and face.listeners:
            return self._heard(face, request, entry, wanted)
        if request.method == "POST" and path == speech.PATH and face.speakers.models:
            return self._spoken(face, request, entry, wanted)
        raise face.unknown_path(request.method, request.path)

    def _heard(self, face: Face, request: Request, entry: Entry, wanted: NextAnswer) -> str:
        recording = transcriptions.read_recording(request.headers, request.body, face.listeners)
        entry.model, entry.audio_seconds, entry.billed = recording.model, recording.seconds, True
        heard = recording.heard if wanted.text is None else wanted.text
        note_text(entry, heard)
        return json.dumps(recording.rendered(heard)) if wanted.body is None else wanted.body

    def _spoken(self, face: Face, request: Request, entry: Entry, wanted: NextAnswer) -> "str | Spoken":
        try:
            asked = speech.read_speech(read_json(face, request.body), face.speakers)
        except WrongParameter as wrong:
            raise face.wrong_parameter(wrong) from None
        entry.model, entry.characters, entry.billed = asked.model, len(asked.text), True
        entry.text_sha256 = sha256(asked.text.encode()).hexdigest()
        audio = asked.spoken(wanted.huge_bytes or 0)
        entry.answer_bytes, entry.answer_sha256 = len(audio), sha256(audio).hexdigest()
        return Spoken(speech.MEDIA_TYPES[asked.format], audio) if wanted.body is None else wanted.body

    def _answered(self, face: Face, request: Request, entry: Entry, wanted: NextAnswer) -> str | Stream:
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
        entry.input_tokens, entry.cached_tokens = answer.usage.input_tokens, answer.usage.cached_tokens
        entry.billed = True
        if question.stream:
            stream = face.streamed(question, answer, entry.request_id)
            return stream if wanted.body is None else replace(stream, opening=wanted.body, chunks=(), ending="")
        entry.output_tokens = answer.usage.output_tokens
        note_text(entry, answer.text)
        if wanted.body is not None:
            return wanted.body
        return json.dumps(face.rendered(question, answer, entry.request_id), ensure_ascii=False)

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


@dataclass(frozen=True)
class Spoken:
    media_type: str
    audio: bytes


def note_text(entry: Entry, text: str) -> None:
    """Of an answer that is sent whole."""
    content = text.encode()
    entry.answer_bytes, entry.answer_sha256 = len(content), sha256(content).hexdigest()


def read_json(face: Face, body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise face.not_json() from None

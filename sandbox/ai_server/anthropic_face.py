"""Anthropic's messages."""

import base64
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from sandbox.ai_server.catalogue import Model, anthropic_models
from sandbox.ai_server.faces import Body, Headers
from sandbox.ai_server.openai_face import parts_of
from sandbox.ai_server.parameters import check_parameters
from sandbox.ai_server.pictures import PictureLimits, ReceivedPicture, received_picture
from sandbox.ai_server.questions import Answer, Question, Usage, cut_up, tokens_of
from sandbox.ai_server.refusals import Path, Refused, WrongParameter, WrongPicture
from sandbox.ai_server.speech import Speakers
from sandbox.ai_server.streams import Chunk, Stream, encoded, written_with

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "refusal": "refusal"}
TEXT_BLOCK = {"type": "text", "text": ""}
THINKING_BLOCK = {"type": "thinking", "thinking": "", "signature": ""}
SAMPLING = {"temperature", "top_k", "top_p"}
NO_SAMPLING = re.compile(r"claude-[a-z]+-([5-9]|4-[7-9]|preview)")
"""From Opus 4.7 on, as platform.claude.com/docs/en/models/sonnet-5-5/overview and its neighbours say."""
LONGEST_SIDE = 1568
PIXELS_PER_TOKEN = 750
EXPECTED = {
    "a boolean": "a valid boolean",
    "an integer": "a valid integer",
    "a decimal": "a valid number",
    "a string": "a valid string",
    "an array": "a valid array",
    "an object": "an object",
}


class AnthropicFace:
    name = "anthropic"
    # The SDK puts /v1 behind its base address.
    prefix = "/anthropic/v1"
    call_path = "/messages"
    listeners: Collection[str] = ()
    speakers = Speakers()
    # 5 MB and 8000 x 8000 pixels a picture, says platform.claude.com/docs/en/build-with-claude/vision.
    picture_limits = PictureLimits(largest_bytes=5 * 1024 * 1024, longest_side=8000)

    @property
    def models(self) -> Mapping[str, Model]:
        return anthropic_models()

    def given_key(self, headers: Headers) -> str:
        """Under either header: the older SDKs send the first, the installed one the second."""
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")

    def check_headers(self, headers: Headers) -> None:
        if "anthropic-version" not in headers:
            raise Refused(400, "anthropic-version: header is required")

    def wrong_key(self, given: str) -> Refused:
        message = "invalid x-api-key" if given else "x-api-key header is required"
        return Refused(401, message, kind="authentication_error")

    def unknown_model(self, name: str) -> Refused:
        return Refused(404, f"model: {name}", kind="not_found_error")

    def unknown_path(self, method: str, path: str) -> Refused:
        return Refused(404, "Not Found", kind="not_found_error")

    def not_json(self) -> Refused:
        return Refused(400, "The request body is not valid JSON: unexpected character: line 1 column 1 (char 0)")

    def wrong_parameter(self, wrong: WrongParameter) -> Refused:
        texts = {
            "unknown": "Extra inputs are not permitted",
            "missing": "Field required",
            "type": f"Input should be {EXPECTED.get(wrong.expected, wrong.expected)}",
            "value": f"Input should be {wrong.expected.replace(', ', ' or ')}",
        }
        return Refused(400, f"{where(wrong.path)}: {texts[wrong.fault]}")

    def wrong_picture(self, wrong: WrongPicture) -> Refused:
        largest = self.picture_limits.largest_bytes
        texts = {
            "address": "Unable to download the file. Please verify the URL and try again.",
            "base64": "Invalid base64 data",
            "media_type": f"The image was specified using the {wrong.detail.partition(' ')[0]} media type, but it is another",
            "size": f"image exceeds 5 MB maximum: {wrong.detail} bytes > {largest} bytes",
            "pixels": "At least one of the image dimensions exceed max allowed size: 8000 pixels",
        }
        message = texts.get(wrong.fault, "Could not process image")
        return Refused(400, f"{where(wrong.path)}: {message}")

    def trouble(self, status: int) -> Refused:
        known = {
            400: Refused(400, "Your request could not be processed."),
            401: self.wrong_key("revoked"),
            403: Refused(403, "Request not allowed", kind="permission_error"),
            404: self.unknown_model("claude-none"),
            413: Refused(413, "Request exceeds the maximum size", kind="request_too_large"),
            429: Refused(429, "This request would exceed your organization's rate limit.", kind="rate_limit_error"),
            504: Refused(504, "The request timed out while processing.", kind="timeout_error"),
            529: Refused(529, "Overloaded", kind="overloaded_error"),
        }
        return known.get(status, Refused(status, "Internal server error", kind="api_error"))

    def read(self, body: Any) -> Question:
        from anthropic.types import message_create_params as params  # noqa: PLC0415 - slow

        streams = isinstance(body, dict) and body.get("stream") is True
        shape = params.MessageCreateParamsStreaming if streams else params.MessageCreateParamsNonStreaming
        check_parameters(self.without_sampling(body), shape)
        if body["max_tokens"] < 1:
            raise Refused(400, "max_tokens: Input should be greater than or equal to 1")
        if not body["messages"]:
            raise Refused(400, "messages: at least one message is required")
        model = self.models.get(body["model"])
        if model is None:
            raise self.unknown_model(body["model"])
        return self.question_of(model, body)

    def without_sampling(self, body: Any) -> Any:
        """The package knows these parameters no more, as newer models refuse them. The others still take them."""
        if not isinstance(body, dict):
            return body
        for name in sorted(SAMPLING & body.keys()):
            if NO_SAMPLING.match(str(body.get("model"))):
                raise Refused(400, f"`{name}` is deprecated for this model.")
            value = body[name]
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise Refused(400, f"{name}: Input should be a valid number")
            if value < 0 or (value > 1 and name != "top_k"):
                raise Refused(400, f"{name}: range: 0..1")
        return {name: value for name, value in body.items() if name not in SAMPLING}

    def question_of(self, model: Model, body: Body) -> Question:
        texts: list[str] = []
        pictures: list[ReceivedPicture] = []
        system = body.get("system", ())
        texts.extend([system] if isinstance(system, str) else [part["text"] for part in system])
        for path, part in parts_of(body["messages"]):
            if isinstance(part, str):
                texts.append(part)
            elif part["type"] == "text":
                texts.append(part["text"])
            elif part["type"] == "image":
                pictures.append(self.picture_of(part["source"], (*path, "image", "source")))
        return Question(
            model=model.name,
            texts=tuple(texts),
            pictures=tuple(pictures),
            picture_tokens=sum(picture_tokens(each) for each in pictures),
            largest_answer=body["max_tokens"],
            stream=body.get("stream") is True,
        )

    def picture_of(self, source: Body, path: Path) -> ReceivedPicture:
        if source["type"] != "base64":
            raise WrongPicture((*path, source["type"]), "address")
        return received_picture(source["media_type"], source["data"], self.picture_limits, (*path, "base64"))

    def rendered(self, question: Question, answer: Answer, request_id: str) -> Body:
        content: list[Body] = []
        if answer.thoughts:
            signature = signature_of(answer)
            content.append({"type": "thinking", "thinking": answer.thoughts, "signature": signature})
        if answer.text:
            content.append({"type": "text", "text": answer.text})
        body: Body = {
            "id": f"msg_{request_id.removeprefix('req_')}",
            "type": "message",
            "role": "assistant",
            "model": question.model,
            "content": content,
            "stop_reason": STOP_REASONS[answer.finish],
            "stop_sequence": None,
        }
        if (usage := answer.told_usage()) is not None:
            body["usage"] = self.usage(usage) | {"service_tier": "standard"}
        return body

    def usage(self, usage: Usage) -> Body:
        """What was read from a cache is apart."""
        body: Body = {
            "input_tokens": usage.input_tokens - usage.cached_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached_tokens,
            "output_tokens": usage.output_tokens,
        }
        if usage.reasoning_tokens:
            body["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
        return body

    def streamed(self, question: Question, answer: Answer, request_id: str) -> Stream:
        """As platform.claude.com/docs/en/build-with-claude/streaming has it: a block opens, has deltas and closes; thinking
        comes before the text; the last `message_delta` has the stream's usage so far, not what was added."""
        message = self.rendered(question, answer, request_id) | {"content": [], "stop_reason": None}
        first = answer.told_usage(output_tokens=1)
        if first is not None:
            message["usage"] = self.usage(replace(first, reasoning_tokens=0)) | {"service_tier": "standard"}
        thinks = bool(answer.thoughts)
        block = THINKING_BLOCK if thinks else TEXT_BLOCK
        ends: list[str] = []
        if thinks or answer.text:
            ends.append(event("content_block_stop", index=int(thinks)))
        usage = answer.told_usage()
        told = {} if usage is None else {"usage": self.usage(usage)}
        delta = {"stop_reason": STOP_REASONS[answer.finish], "stop_sequence": None}
        ends += [event("message_delta", delta=delta, **told), event("message_stop")]
        opening = event("message_start", message=message)
        if thinks or answer.text:
            opening += event("content_block_start", index=0, content_block=block)
        return Stream(
            opening=opening + event("ping"),
            chunks=self.chunks(answer),
            ending="".join(ends),
            error=event("error", error={"type": "overloaded_error", "message": "Overloaded"}, request_id=request_id),
            tokens=answer.usage.output_tokens,
            garbage='event: content_block_delta\ndata: {"type": "content_bl\n\n',
        )

    def chunks(self, answer: Answer) -> Iterator[Chunk]:
        index = 0
        for text in cut_up(answer.thoughts, answer.chunk_tokens):
            yield Chunk(block_delta(0, {"type": "thinking_delta", "thinking": text}), tokens_of(text))
        if answer.thoughts:
            index = 1
            signed = block_delta(0, {"type": "signature_delta", "signature": signature_of(answer)})
            started = event("content_block_start", index=1, content_block=TEXT_BLOCK)
            yield Chunk(signed + event("content_block_stop", index=0) + started)
        write = written_with(lambda text: block_delta(index, {"type": "text_delta", "text": text}))
        for text in answer.chunks():
            yield Chunk(write(text), tokens_of(text), text)

    def error_body(self, refused: Refused, request_id: str) -> Body | list[Body]:
        return {
            "type": "error",
            "error": {"type": refused.kind, "message": refused.message},
            "request_id": request_id,
        }

    def model_list(self) -> Body:
        found = [self.model_body(model) for model in self.models.values()]
        return {"data": found, "has_more": False, "first_id": found[0]["id"], "last_id": found[-1]["id"]}

    def model_body(self, model: Model) -> Body:
        return {
            "type": "model",
            "id": model.name,
            "display_name": model.name.replace("-", " ").title(),
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active",
        }

    def headers(self, request_id: str) -> dict[str, str]:
        return {"request-id": request_id, "anthropic-organization-id": "00000000-0000-4000-8000-000000000000"}


def picture_tokens(picture: ReceivedPicture) -> int:
    """Of the picture scaled down to what the service looks at: width by height / 750."""
    scale = min(1.0, LONGEST_SIDE / max(picture.width, picture.height))
    return math.ceil(picture.width * scale * picture.height * scale / PIXELS_PER_TOKEN)


def where(path: Path) -> str:
    """`messages.0.content.1.type`."""
    return ".".join(str(each) for each in path)


def signature_of(answer: Answer) -> str:
    return base64.b64encode(sha256(answer.thoughts.encode()).digest()).decode()


def block_delta(index: int, delta: Body) -> str:
    return event("content_block_delta", index=index, delta=delta)


def event(kind: str, **members: Any) -> str:
    return f"event: {kind}\ndata: {encoded({'type': kind, **members})}\n\n"

"""OpenAI's chat completions, the wire format that Google and Groq have taken over."""

import json
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import cycle
from typing import Any

from sandbox.ai_server.catalogue import GOOGLE_MODELS, GROQ_MODELS, Model, openai_models, openai_names
from sandbox.ai_server.faces import Body, Headers
from sandbox.ai_server.parameters import check_parameters
from sandbox.ai_server.pictures import PictureLimits, ReceivedPicture, picture_of_data_uri
from sandbox.ai_server.questions import Answer, Question, Tool, Usage, cut_up, tokens_of
from sandbox.ai_server.refusals import Path, Refused, WrongParameter, WrongPicture
from sandbox.ai_server.speech import Speakers
from sandbox.ai_server.streams import Chunk, Stream, encoded, written_with

RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "n": (1, 128),
    "max_tokens": (1, math.inf),
    "max_completion_tokens": (1, math.inf),
}
FORMATS = "['png', 'jpeg', 'gif', 'webp']"
PATCH = 32
MOST_PATCHES = 1536
CREATED = 1_760_000_000
PADDING = ("Yq7", "TzXc1Rb9", "K", "wLp3e")
DONE = "data: [DONE]\n\n"


class OpenAIFace:
    name = "openai"
    prefix = "/openai/v1"
    call_path = "/chat/completions"
    listeners: Collection[str] = ("whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
    speakers = Speakers(("tts-1", "tts-1-hd", "gpt-4o-mini-tts"), ("mp3", "wav"), longest_input=4_096)
    owner = "openai"
    id_prefix = "chatcmpl-"
    # Up to 20 MB a picture, says OpenAI's guide to images and vision.
    picture_limits = PictureLimits(largest_bytes=20_000_000)

    @property
    def models(self) -> Mapping[str, Model]:
        return openai_models()

    def given_key(self, headers: Headers) -> str:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return key if scheme.lower() == "bearer" else ""

    def check_headers(self, headers: Headers) -> None:
        """OpenAI asks for none."""

    def wrong_key(self, given: str) -> Refused:
        if not given:
            message = (
                "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer"
                " auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're"
                " accessing the API from your browser and are prompted for a username and password. You can obtain an"
                " API key from https://platform.openai.com/account/api-keys."
            )
            return Refused(401, message)
        shown = f"{given[:8]}{'*' * max(len(given) - 12, 0)}{given[-4:]}" if len(given) > 12 else given
        message = f"Incorrect API key provided: {shown}. You can find your API key at https://platform.openai.com/account/api-keys."
        return Refused(401, message, code="invalid_api_key")

    def unknown_model(self, name: str) -> Refused:
        if name in openai_names():
            message = f"The model `{name}` has been deprecated, learn more here: https://platform.openai.com/docs/deprecations"
        else:
            message = f"The model `{name}` does not exist or you do not have access to it."
        return Refused(404, message, code="model_not_found")

    def unknown_path(self, method: str, path: str) -> Refused:
        return Refused(404, f"Invalid URL ({method} {path.removeprefix('/openai')})", code="unknown_url")

    def not_json(self) -> Refused:
        return Refused(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library"
            " correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        )

    def wrong_parameter(self, wrong: WrongParameter) -> Refused:
        where = dotted(wrong.path)
        if wrong.fault == "unknown" and len(wrong.path) == 1:
            return Refused(400, f"Unrecognized request argument supplied: {where}")
        texts = {
            "unknown": (f"Unknown parameter: '{where}'.", "unknown_parameter"),
            "missing": (f"Missing required parameter: '{where}'.", "missing_required_parameter"),
            "type": (
                f"Invalid type for '{where}': expected {wrong.expected}, but got {wrong.given} instead.",
                "invalid_type",
            ),
            "value": (f"Invalid value: '{wrong.given}'. Supported values are: {wrong.expected}.", "invalid_value"),
        }
        message, code = texts[wrong.fault]
        return Refused(400, message, code=code, param=where)

    def wrong_picture(self, wrong: WrongPicture) -> Refused:
        unsupported = "You uploaded an unsupported image. Please make sure your image"
        texts = {
            "address": (f"Error while downloading {wrong.detail}.", "invalid_image_url"),
            "base64": ("Invalid base64 image_url.", "invalid_base64"),
            "media_type": (f"{unsupported} has of one the following formats: {FORMATS}.", "invalid_image_format"),
            "unreadable": (f"{unsupported} is valid.", "image_parse_error"),
            "size": (
                f"{unsupported} is below 20 MB in size and is of one the following formats: {FORMATS}.",
                "image_too_large",
            ),
            "pixels": (f"{unsupported} is valid.", "image_parse_error"),
        }
        message, code = texts[wrong.fault]
        return Refused(400, message, code=code)

    def trouble(self, status: int) -> Refused:
        known = {
            400: Refused(400, "Your request could not be processed."),
            401: self.wrong_key("sk-proj-revoked-0000"),
            403: Refused(
                403,
                "Country, region, or territory not supported",
                kind="request_forbidden",
                code="unsupported_country_region_territory",
            ),
            404: self.unknown_model("gpt-none"),
            429: Refused(
                429,
                "Rate limit reached for requests. Please try again in 20s.",
                kind="requests",
                code="rate_limit_exceeded",
            ),
            503: Refused(
                503, "The engine is currently overloaded, please try again later.", kind="service_unavailable_error"
            ),
        }
        server_error = Refused(
            status,
            "The server had an error while processing your request. Sorry about that!",
            kind="server_error",
        )
        return known.get(status, server_error)

    def read(self, body: Any) -> Question:
        from openai.types.chat import completion_create_params as params  # noqa: PLC0415 - slow

        streams = isinstance(body, dict) and body.get("stream") is True
        shape = params.CompletionCreateParamsStreaming if streams else params.CompletionCreateParamsNonStreaming
        check_parameters(body, shape)
        check_ranges(body)
        model = self.models.get(body["model"])
        if model is None:
            raise self.unknown_model(body["model"])
        self.check_model_parameters(model, body)
        return self.question_of(model, body)

    def check_model_parameters(self, model: Model, body: Body) -> None:
        if not model.reasons:
            return
        if body.get("max_tokens") is not None:
            raise Refused(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                code="unsupported_parameter",
                param="max_tokens",
            )
        for name in ("temperature", "top_p"):
            if body.get(name, 1) not in {1, None}:
                raise Refused(
                    400,
                    f"Unsupported value: '{name}' does not support {body[name]} with this model."
                    " Only the default (1) value is supported.",
                    code="unsupported_value",
                    param=name,
                )

    def question_of(self, model: Model, body: Body) -> Question:
        texts: list[str] = []
        pictures: list[ReceivedPicture] = []
        if not body["messages"]:
            raise Refused(
                400,
                "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
                code="empty_array",
                param="messages",
            )
        for path, part in parts_of(body["messages"]):
            if isinstance(part, str):
                texts.append(part)
            elif part["type"] == "text":
                texts.append(part["text"])
            elif part["type"] == "image_url":
                if not model.sees_pictures:
                    raise self.sees_no_pictures(path)
                pictures.append(
                    picture_of_data_uri(part["image_url"]["url"], self.picture_limits, (*path, "image_url", "url"))
                )
        response_format = body.get("response_format") or {}
        schemas = {
            "json_object": {},
            "json_schema": (response_format.get("json_schema") or {}).get("schema") or {},
        }
        return Question(
            model=model.name,
            texts=tuple(texts),
            pictures=tuple(pictures),
            picture_tokens=sum(self.picture_tokens(each) for each in pictures),
            largest_answer=body.get("max_completion_tokens") or body.get("max_tokens"),
            stream=body.get("stream") is True,
            choices=body.get("n") or 1,
            schema=schemas.get(response_format.get("type", "text")),
            stream_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            obfuscated=(body.get("stream_options") or {}).get("include_obfuscation") is not False,
            tool=self.tool_of(body),
        )

    def tool_of(self, body: Body) -> Tool | None:
        """The one that is called: always, where the request does not forbid it and does not bring the tool's result."""
        functions = [each["function"] for each in body.get("tools") or () if each["type"] == "function"]
        choice = body.get("tool_choice") or "auto"
        if not functions or choice == "none" or (choice == "auto" and body["messages"][-1]["role"] == "tool"):
            return None
        if isinstance(choice, dict) and choice["type"] == "function":
            functions = [each for each in functions if each["name"] == choice["function"]["name"]]
        if not functions:
            raise Refused(400, "Tool choice names a function that is not in 'tools'.", param="tool_choice")
        return Tool(functions[0]["name"], functions[0].get("parameters") or {})

    def sees_no_pictures(self, path: Path) -> Refused:
        where = ".".join(f"[{each}]" if isinstance(each, int) else each for each in (*path, "type"))
        return Refused(400, "Invalid content type. image_url is only supported by certain models.", param=where)

    def picture_tokens(self, picture: ReceivedPicture) -> int:
        return min(math.ceil(picture.width / PATCH) * math.ceil(picture.height / PATCH), MOST_PATCHES)

    def rendered(self, question: Question, answer: Answer, request_id: str) -> Body:
        message: Body = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
        if answer.refusal:
            message |= {"content": None, "refusal": answer.text}
        if answer.tool is not None:
            function = {"name": answer.tool.name, "arguments": answer.text}
            call = {"id": call_id(request_id), "type": "function", "function": function}
            message |= {"content": None, "tool_calls": [call]}
        finish = finish_of(answer)
        body: Body = {
            "id": f"{self.id_prefix}{request_id.removeprefix('req_')}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": question.model,
            "choices": [
                {"index": number, "message": message, "logprobs": None, "finish_reason": finish}
                for number in range(question.choices)
            ],
            "service_tier": "default",
            "system_fingerprint": f"fp_{sha256(question.model.encode()).hexdigest()[:10]}",
        }
        if (usage := answer.told_usage()) is not None:
            body["usage"] = self.usage(usage)
        return body

    def usage(self, usage: Usage) -> Body:
        return {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": usage.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def streamed(self, question: Question, answer: Answer, request_id: str) -> Stream:
        head = self.chunk_head(question, answer, request_id)
        opening = self.opening_delta(answer, request_id)
        return Stream(
            opening="".join(chunk(head, opening, number) for number in range(question.choices)),
            chunks=self.chunks(head, question, answer),
            ending=self.ending(head, question, answer, request_id),
            error=self.error_event(request_id),
            tokens=answer.usage.output_tokens,
        )

    def chunk_head(self, question: Question, answer: Answer, request_id: str) -> Body:
        """What is the same in all chunks of a stream."""
        whole = self.rendered(question, answer, request_id)
        head = {name: whole[name] for name in ("id", "created", "model", "service_tier", "system_fingerprint")}
        head["object"] = "chat.completion.chunk"
        if question.stream_usage:
            # "All other chunks will also include a usage field, but with a null value", say the package's stream options.
            head["usage"] = None
        return head

    def opening_delta(self, answer: Answer, request_id: str) -> Body:
        if answer.tool is None:
            return {"role": "assistant", "content": "", "refusal": None}
        function = {"name": answer.tool.name, "arguments": ""}
        call = {"index": 0, "id": call_id(request_id), "type": "function", "function": function}
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}

    def chunks(self, head: Body, question: Question, answer: Answer) -> Iterator[Chunk]:
        yield Chunk("", tokens=answer.usage.reasoning_tokens)
        heads = [{**head, "obfuscation": each} for each in PADDING] if question.obfuscated else [head]
        writers = cycle([self.writer(each, question, answer) for each in heads])
        for text in answer.chunks():
            yield Chunk(next(writers)(text), tokens_of(text) * question.choices, text)

    def writer(self, head: Body, question: Question, answer: Answer) -> Callable[[str], str]:
        """Of a text as a chunk of each choice."""

        def write(text: str) -> str:
            return "".join(chunk(head, delta_of(answer, text), choice) for choice in range(question.choices))

        return written_with(write)

    def ending(self, head: Body, question: Question, answer: Answer, request_id: str) -> str:
        """The last chunk with usage has no choices, says OpenAI's reference of `stream_options`."""
        ends = [chunk(head, {}, number, finish_of(answer)) for number in range(question.choices)]
        usage = answer.told_usage()
        if question.stream_usage and usage is not None:
            ends.append(event({**head, "choices": [], "usage": self.usage(usage)}))
        return "".join([*ends, DONE])

    def error_event(self, request_id: str) -> str:
        return event(self.error_body(self.trouble(500), request_id))

    def error_body(self, refused: Refused, request_id: str) -> Body | list[Body]:
        error = {"message": refused.message, "type": refused.kind, "param": refused.param, "code": refused.code}
        return {"error": error}

    def model_list(self) -> Body:
        return {"object": "list", "data": [self.model_body(model) for model in self.models.values()]}

    def model_body(self, model: Model) -> Body:
        return {"id": model.name, "object": "model", "created": CREATED, "owned_by": self.owner}

    def headers(self, request_id: str) -> dict[str, str]:
        return {"x-request-id": request_id, "openai-version": "2020-10-01", "openai-processing-ms": "12"}


class GoogleFace(OpenAIFace):
    """Gemini behind OpenAI's format. Errors are Google's own, in a list."""

    name = "google"
    listeners: Collection[str] = ()
    speakers = Speakers()
    prefix = "/google/v1beta/openai"
    owner = "google"
    id_prefix = ""
    # Gemini takes requests of up to 20 MB with the data of its pictures in them.
    picture_limits = PictureLimits(largest_bytes=15_000_000)
    statuses: Mapping[int, str] = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
    }

    @property
    def models(self) -> Mapping[str, Model]:
        return GOOGLE_MODELS

    def wrong_key(self, given: str) -> Refused:
        """Google says 400, not 401."""
        if not given:
            return Refused(400, "Missing or invalid Authorization header.")
        return Refused(400, "API key not valid. Please pass a valid API key.", code="API_KEY_INVALID")

    def unknown_model(self, name: str) -> Refused:
        return Refused(
            404,
            f"models/{name} is not found for API version v1main, or is not supported for generateContent. Call ListModels to see"
            " the list of available models and their supported methods.",
        )

    def unknown_path(self, method: str, path: str) -> Refused:
        return Refused(404, "Requested entity was not found.")

    def not_json(self) -> Refused:
        return Refused(400, "Invalid JSON payload received.")

    def wrong_parameter(self, wrong: WrongParameter) -> Refused:
        where = dotted(wrong.path)
        texts = {
            "unknown": (
                f'Invalid JSON payload received. Unknown name "{wrong.path[-1]}": Cannot find field.'
                if wrong.path
                else ""
            ),
            "missing": f"Field '{where}' is required.",
            "type": f"Invalid value at '{where}': expected {wrong.expected}.",
            "value": f"Invalid value at '{where}': \"{wrong.given}\".",
        }
        return Refused(400, texts[wrong.fault])

    def wrong_picture(self, wrong: WrongPicture) -> Refused:
        texts = {
            "address": "Unable to fetch the image from the given URL.",
            "base64": "Base64 decoding failed for the given image.",
            "media_type": f"Unsupported MIME type: {wrong.detail}",
        }
        return Refused(400, texts.get(wrong.fault, "Unable to process input image."))

    def trouble(self, status: int) -> Refused:
        known = {
            400: Refused(400, "Request contains an invalid argument."),
            401: Refused(401, "Request had invalid authentication credentials."),
            403: Refused(403, "The caller does not have permission."),
            404: self.unknown_model("gemini-none"),
            429: Refused(429, "You exceeded your current quota, please check your plan and billing details."),
            503: Refused(503, "The model is overloaded. Please try again later."),
        }
        return known.get(status, Refused(status, "An internal error has occurred. Please retry or report."))

    def usage(self, usage: Usage) -> Body:
        """Gemini's thoughts are in the total alone."""
        return {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens - usage.reasoning_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        }

    def chunk_head(self, question: Question, answer: Answer, request_id: str) -> Body:
        whole = self.rendered(question, answer, request_id)
        return {name: whole[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

    def chunks(self, head: Body, question: Question, answer: Answer) -> Iterator[Chunk]:
        """Each has a role, and tells the usage up to it where that is asked for (discuss.ai.google.dev/t/127400)."""
        output = answer.usage.reasoning_tokens
        yield Chunk("", tokens=output)
        for text in answer.chunks():
            tokens = tokens_of(text) * question.choices
            output += tokens
            usage = answer.told_usage(output) if question.stream_usage else None
            told = head if usage is None else {**head, "usage": self.usage(usage)}
            delta = {"role": "assistant", **delta_of(answer, text)}
            events = [chunk(told, delta, choice) for choice in range(question.choices)]
            yield Chunk("".join(events), tokens, text)

    def ending(self, head: Body, question: Question, answer: Answer, request_id: str) -> str:
        ends = [chunk(head, {"role": "assistant"}, number, finish_of(answer)) for number in range(question.choices)]
        usage = answer.told_usage()
        if question.stream_usage and usage is not None:
            ends.append(event({**head, "choices": None, "usage": self.usage(usage)}))
        return "".join([*ends, DONE])

    def error_event(self, request_id: str) -> str:
        """Not an event at all but bare JSON, as issue 1973 of googleapis/js-genai has it."""
        return f"{json.dumps(self.error_body(self.trouble(503), request_id), indent=2)}\n"

    def error_body(self, refused: Refused, request_id: str) -> Body | list[Body]:
        error: Body = {
            "code": refused.status,
            "message": refused.message,
            "status": self.statuses.get(refused.status, "INTERNAL"),
        }
        if refused.code is not None:
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": refused.code,
                    "domain": "googleapis.com",
                    "metadata": {"service": "generativelanguage.googleapis.com"},
                }
            ]
        return [{"error": error}]

    def model_body(self, model: Model) -> Body:
        return {"id": f"models/{model.name}", "object": "model", "owned_by": self.owner}

    def headers(self, request_id: str) -> dict[str, str]:
        return {"server": "scaffolding on HTTPServer2"}


class GroqFace(OpenAIFace):
    name = "groq"
    listeners: Collection[str] = ("whisper-large-v3", "whisper-large-v3-turbo")
    speakers = Speakers(("canopylabs/orpheus-v1-english",), ("wav",), longest_input=200)
    prefix = "/groq/openai/v1"
    owner = "Groq"
    # 4 MB in base64 and 33 megapixels, says console.groq.com/docs/vision.
    picture_limits = PictureLimits(largest_bytes=3_000_000, most_pixels=33_177_600)

    @property
    def models(self) -> Mapping[str, Model]:
        return GROQ_MODELS

    def wrong_key(self, given: str) -> Refused:
        return Refused(401, "Invalid API Key", code="invalid_api_key")

    def unknown_model(self, name: str) -> Refused:
        message = f"The model `{name}` does not exist or you do not have access to it."
        return Refused(404, message, code="model_not_found")

    def wrong_parameter(self, wrong: WrongParameter) -> Refused:
        if wrong.fault == "unknown":
            return Refused(400, f"property '{dotted(wrong.path)}' is unsupported")
        return super().wrong_parameter(wrong)

    def wrong_picture(self, wrong: WrongPicture) -> Refused:
        if wrong.fault == "size":
            return Refused(413, "Request Entity Too Large", code="request_too_large")
        return Refused(400, f"invalid image data: {wrong.fault}")

    def sees_no_pictures(self, path: Path) -> Refused:
        return Refused(400, f"{dotted(path[:2])}.content must be a string")

    def rendered(self, question: Question, answer: Answer, request_id: str) -> Body:
        whole = super().rendered(question, answer, request_id)
        if answer.thoughts:
            whole["choices"][0]["message"]["reasoning"] = answer.thoughts
        return whole | {"x_groq": {"id": request_id}}

    def check_model_parameters(self, model: Model, body: Body) -> None:
        """What console.groq.com/docs/openai lists as unsupported."""
        for number, message in enumerate(body["messages"]):
            if message.get("name") is not None and message["role"] != "function":
                raise Refused(400, f"'messages.{number}' : property 'name' is unsupported")
        for name in ("logprobs", "top_logprobs", "logit_bias"):
            if body.get(name):
                raise Refused(400, f"`{name}` is not supported with this model")
        if (body.get("n") or 1) > 1:
            raise Refused(400, "'n' : number must be at most 1")

    def usage(self, usage: Usage) -> Body:
        seconds = {"queue_time": 0.01, "prompt_time": 0.01, "completion_time": 0.02, "total_time": 0.03}
        tokens = {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens}
        body: Body = {**seconds, **tokens, "total_tokens": usage.input_tokens + usage.output_tokens}
        if usage.cached_tokens:
            body["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
        if usage.reasoning_tokens:
            body["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
        return body

    def chunk_head(self, question: Question, answer: Answer, request_id: str) -> Body:
        whole = self.rendered(question, answer, request_id)
        head = {name: whole[name] for name in ("id", "created", "model", "system_fingerprint")}
        return head | {"object": "chat.completion.chunk"}

    def streamed(self, question: Question, answer: Answer, request_id: str) -> Stream:
        head = self.chunk_head(question, answer, request_id)
        opening = chunk(head | {"x_groq": {"id": request_id}}, self.opening_delta(answer, request_id), 0)
        return replace(super().streamed(question, answer, request_id), opening=opening)

    def chunks(self, head: Body, question: Question, answer: Answer) -> Iterator[Chunk]:
        """`reasoning` stands beside `content` (console.groq.com/docs/reasoning)."""
        for text in cut_up(answer.thoughts, answer.chunk_tokens):
            yield Chunk(chunk(head, {"reasoning": text, "channel": "analysis"}, 0), tokens_of(text))
        write = self.writer(head, question, answer)
        for text in answer.chunks():
            yield Chunk(write(text), tokens_of(text), text)

    def ending(self, head: Body, question: Question, answer: Answer, request_id: str) -> str:
        """Usage stands in `x_groq`, and once more in a chunk of its own where that was asked for."""
        usage = answer.told_usage()
        told = {} if usage is None else {"usage": self.usage(usage)}
        ends = [chunk({**head, "x_groq": {"id": request_id, **told}}, {}, 0, finish_of(answer))]
        if question.stream_usage and usage is not None:
            ends.append(event({**head, "choices": [], **told, "x_groq": {"id": request_id}}))
        return "".join([*ends, DONE])

    def error_event(self, request_id: str) -> str:
        return f"event: error\n{super().error_event(request_id)}"

    def headers(self, request_id: str) -> dict[str, str]:
        return {"x-request-id": request_id, "x-groq-region": "us-west-1"}


def dotted(path: Path) -> str:
    """`messages[0].content[1].type`."""
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path).removeprefix(".")


def parts_of(messages: Sequence[Body]) -> Iterator[tuple[Path, Any]]:
    for number, message in enumerate(messages):
        content = message.get("content")
        if isinstance(content, str):
            yield ("messages", number, "content"), content
        for place, part in enumerate(content if isinstance(content, list) else ()):
            yield ("messages", number, "content", place), part


def check_ranges(body: Body) -> None:
    for name, (least, most) in RANGES.items():
        value = body.get(name)
        if value is None or least <= value <= most:
            continue
        kind = "integer" if isinstance(value, int) and name not in {"temperature", "top_p"} else "decimal"
        side, word, sign, bound = (
            ("below", "minimum", ">=", least) if value < least else ("above", "maximum", "<=", most)
        )
        raise Refused(
            400,
            f"Invalid '{name}': {kind} {side} {word} value. Expected a value {sign} {bound}, but got {value} instead.",
            code=f"{kind}_{side}_{word[:3]}_value",
            param=name,
        )


def finish_of(answer: Answer) -> str:
    return "stop" if answer.refusal else answer.finish


def call_id(request_id: str) -> str:
    return f"call_{request_id.removeprefix('req_')}"


def delta_of(answer: Answer, text: str) -> Body:
    if answer.tool is not None:
        return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
    return {"refusal" if answer.refusal else "content": text}


def chunk(head: Body, delta: Body, index: int, finish: str | None = None) -> str:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return event({**head, "choices": [choice]})


def event(data: object) -> str:
    return f"data: {encoded(data)}\n\n"

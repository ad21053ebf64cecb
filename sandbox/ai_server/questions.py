"""A request that was found valid, the same for all faces, and the answer that follows from it."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import cycle
from typing import Any

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.pictures import ReceivedPicture

CHARACTERS_PER_TOKEN = 4
WORDS_OF_SEVERAL_BYTES = "√π ≈ 1.772 · größer als 1 · 答え 😀"
QUOTED_CHARACTERS = 60
HUGE_CHUNK = "huge" * (512 * 1024)
THOUGHT = "Let me look at what was asked, and at what follows from it. "


@dataclass(frozen=True)
class Tool:
    """`parameters`: the JSON schema of its arguments."""

    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """`picture_tokens` are all pictures' together. `schema`: the answer is JSON that fits it; {} for any JSON."""

    model: str
    texts: tuple[str, ...]
    pictures: tuple[ReceivedPicture, ...]
    picture_tokens: int
    largest_answer: int | None
    stream: bool = False
    choices: int = 1
    schema: Mapping[str, Any] | None = None
    stream_usage: bool = True
    obfuscated: bool = False
    tool: Tool | None = None
    """The answer is a call of it."""

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    @property
    def fingerprint(self) -> str:
        return sha256(repr((self.model, self.texts, [each.sha256 for each in self.pictures])).encode()).hexdigest()


@dataclass(frozen=True)
class Usage:
    """Cached tokens are among the input's, reasoning among the output's."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __mul__(self, times: int) -> "Usage":
        return Usage(
            self.input_tokens * times,
            self.output_tokens * times,
            self.cached_tokens * times,
            self.reasoning_tokens * times,
        )


@dataclass(frozen=True)
class Answer:
    """`text` is that of a tool call's arguments where a tool is called. What is billed is `usage`, whatever is told."""

    text: str
    finish: str
    usage: Usage
    told: str
    """right, wrong or none."""
    chunk_tokens: int
    endless: bool = False
    huge_chunk: int | None = None
    tool: Tool | None = None

    @property
    def refusal(self) -> bool:
        return self.finish == "refusal"

    @property
    def thoughts(self) -> str:
        characters = self.usage.reasoning_tokens * CHARACTERS_PER_TOKEN
        return (THOUGHT * (characters // len(THOUGHT) + 1))[:characters]

    def told_usage(self, output_tokens: int | None = None) -> Usage | None:
        """None where none is told. With the output so far, while a stream runs."""
        if self.told == "none":
            return None
        usage = self.usage if output_tokens is None else replace(self.usage, output_tokens=output_tokens)
        return usage * 10 if self.told == "wrong" else usage

    def chunks(self) -> Iterator[str]:
        """The text as a stream hands it out."""
        pieces = cut_up(self.text, self.chunk_tokens)
        huge = self.huge_chunk
        for number, piece in enumerate(cycle(pieces) if self.endless else pieces):
            if number == huge:
                yield HUGE_CHUNK
                huge = None
            yield piece
        if huge is not None:
            yield HUGE_CHUNK


def answer_to(question: Question, wanted: NextAnswer) -> Answer:
    tool = question.tool if wanted.text is None and wanted.finish == "stop" else None
    text = json.dumps(instance_of(tool.parameters, question.fingerprint[:8])) if tool else text_of(question, wanted)
    finish = "tool_calls" if tool else wanted.finish
    room = None if question.largest_answer is None else max(question.largest_answer - wanted.reasoning_tokens, 0)
    if room is not None and tokens_of(text) > room:
        text, finish = text[: room * CHARACTERS_PER_TOKEN], "length"
    if finish == "content_filter":
        text = ""
    huge_tokens = tokens_of(HUGE_CHUNK) if question.stream and wanted.huge_chunk_after_chunks is not None else 0
    usage = Usage(
        input_tokens=sum(tokens_of(each) for each in question.texts) + question.picture_tokens,
        output_tokens=wanted.reasoning_tokens + (max(tokens_of(text), 1) + huge_tokens) * question.choices,
        cached_tokens=wanted.cached_tokens,
        reasoning_tokens=wanted.reasoning_tokens,
    )
    return Answer(
        text,
        finish,
        usage,
        told=wanted.usage,
        chunk_tokens=wanted.chunk_tokens,
        endless=wanted.endless,
        huge_chunk=wanted.huge_chunk_after_chunks,
        tool=tool,
    )


def text_of(question: Question, wanted: NextAnswer) -> str:
    if wanted.finish == "refusal":
        return "I'm sorry, but I can't help with that."
    if wanted.text is not None:
        text = wanted.text
    elif question.schema is not None:
        text = json.dumps(instance_of(question.schema, question.fingerprint[:8]))
    else:
        text = usual_text(question)
    if wanted.split_utf8:
        text = f"{text}\n{WORDS_OF_SEVERAL_BYTES}"
    if wanted.huge_bytes is not None:
        text = (text + " ") * (wanted.huge_bytes // (len(text) + 1) + 1)
    if wanted.tokens is not None:
        characters = wanted.tokens * CHARACTERS_PER_TOKEN
        text = ((text + " ") * (characters // (len(text) + 1) + 1))[:characters]
    return text


def usual_text(question: Question) -> str:
    seen = [f"{each.format} {each.width}x{each.height}" for each in question.pictures]
    asked = shortened(question.texts[-1]) if question.texts else ""
    said = (
        f" Pictures: {', '.join(seen)}.\n\n1. Read the problem.\n2. Work it out."
        if seen
        else "\n\nThis answer was made up on your machine, from your words alone: no AI provider is connected."
        " Set the key of one, such as `OPENAI_API_KEY`, to ask a real model."
    )
    return f"You asked: {asked}.{said}\n\n**Answer {question.fingerprint[:8]}**"


def shortened(text: str) -> str:
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[:QUOTED_CHARACTERS]}…"


def tokens_of(text: str) -> int:
    """About four characters each, as the providers' own rule of thumb says."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def cut_up(text: str, tokens: int) -> list[str]:
    size = tokens * CHARACTERS_PER_TOKEN
    return [text[start : start + size] for start in range(0, len(text), size)]


def instance_of(schema: Mapping[str, Any], seed: str) -> Any:
    """Something that fits the schema, as far as structured outputs go; {"answer": …} where it says nothing."""
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return instance_of(schema["anyOf"][0], seed)
    if kind == "object" and schema.get("properties"):
        return {name: instance_of(each, seed) for name, each in schema["properties"].items()}
    if kind == "array":
        return [instance_of(schema.get("items", {"type": "string"}), f"{seed}-{number}") for number in (1, 2)]
    return {"string": f"Answer {seed}", "integer": 1, "number": 1.5, "boolean": True, "null": None}.get(
        str(kind), {"answer": f"Answer {seed}"}
    )

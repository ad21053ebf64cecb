"""A request that was found valid, the same for all faces, and the answer that follows from it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.pictures import ReceivedPicture

CHARACTERS_PER_TOKEN = 4
WORDS_OF_SEVERAL_BYTES = "√π ≈ 1.772 · größer als 1 · 答え 😀"
QUOTED_CHARACTERS = 60


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

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    @property
    def fingerprint(self) -> str:
        return sha256(repr((self.model, self.texts, [each.sha256 for each in self.pictures])).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """`usage` is None where none is told. The tokens are those that are billed, whatever is told."""

    text: str
    finish: str
    input_tokens: int
    output_tokens: int
    usage: tuple[int, int] | None
    refusal: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


def answer_to(question: Question, wanted: NextAnswer) -> Answer:
    text = text_of(question, wanted)
    finish = wanted.finish
    if question.largest_answer is not None and tokens_of(text) > question.largest_answer:
        text, finish = text[: question.largest_answer * CHARACTERS_PER_TOKEN], "length"
    if finish == "content_filter":
        text = ""
    input_tokens = sum(tokens_of(each) for each in question.texts) + question.picture_tokens
    output_tokens = max(tokens_of(text), 1) * question.choices
    usage = (input_tokens, output_tokens)
    told = {"right": usage, "wrong": (input_tokens * 10, output_tokens * 10)}.get(wanted.usage)
    return Answer(text, finish, input_tokens, output_tokens, told, refusal=finish == "refusal")


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
    return text


def usual_text(question: Question) -> str:
    seen = [f"{each.format} {each.width}x{each.height}" for each in question.pictures]
    asked = question.texts[-1][:QUOTED_CHARACTERS] if question.texts else ""
    pictures = f" Pictures: {', '.join(seen)}." if seen else ""
    return f"You asked: {asked}.{pictures}\n\n1. Read the problem.\n2. Work it out.\n\n**Answer {question.fingerprint[:8]}**"


def tokens_of(text: str) -> int:
    """About four characters each, as the providers' own rule of thumb says."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


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

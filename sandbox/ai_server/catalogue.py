"""The models that each face knows."""

import inspect
import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from types import ModuleType
from typing import get_args

from sandbox.clock import utc_now

SHUTDOWN = re.compile(r"- (?P<names>\"[^:]+?):\s+(?:Announced\s+shutdown\s+date:\s+(?P<date>[\d-]+)|Not a)", re.DOTALL)


@dataclass(frozen=True)
class Model:
    """`reasons`: it takes `max_completion_tokens` in place of `max_tokens`, and no temperature but 1."""

    name: str
    sees_pictures: bool = True
    reasons: bool = False


@cache
def openai_models() -> dict[str, Model]:
    """Those that the installed package names and whose announced shutdown has not come."""
    gone = {name for name, day in openai_shutdowns().items() if day <= utc_now().date()}
    return {name: openai_model(name) for name in openai_names() if name not in gone}


@cache
def openai_names() -> tuple[str, ...]:
    from openai.types.shared.chat_model import ChatModel  # noqa: PLC0415 - slow, and only needed once a server starts

    return tuple(get_args(ChatModel))


@cache
def openai_shutdowns() -> dict[str, date]:
    from openai.types.shared import chat_model  # noqa: PLC0415

    return shutdowns_in(chat_model)


def shutdowns_in(module: ModuleType) -> dict[str, date]:
    """From the notes that the package has on its models. One that was never offered: the earliest day."""
    found: dict[str, date] = {}
    for note in SHUTDOWN.finditer(inspect.getsource(module)):
        day = date.fromisoformat(note["date"]) if note["date"] else date.min
        found.update(dict.fromkeys(re.findall(r'"([^"]+)"', note["names"]), day))
    return found


def openai_model(name: str) -> Model:
    return Model(name, sees_pictures="audio" not in name, reasons=bool(re.match(r"gpt-[5-9](?!-chat)|o\d", name)))


@cache
def anthropic_models() -> dict[str, Model]:
    from anthropic.types.model import Model as Known  # noqa: PLC0415

    names = [name for each in get_args(Known) for name in get_args(each)]
    return {name: Model(name) for name in names}


GOOGLE_MODELS = {
    name: Model(name)
    for name in (
        "gemini-3.5-flash",
        "gemini-3.5-flash-lite",
        "gemini-3-pro-preview",
        "gemini-3-flash-preview",
        "gemini-2.5-pro",
        "gemini-2.5-flash",
    )
}
GROQ_MODELS = {
    each.name: each
    for each in (
        Model("meta-llama/llama-4-scout-17b-16e-instruct"),
        Model("llama-3.3-70b-versatile", sees_pictures=False),
        Model("llama-3.1-8b-instant", sees_pictures=False),
        Model("openai/gpt-oss-120b", sees_pictures=False),
    )
}

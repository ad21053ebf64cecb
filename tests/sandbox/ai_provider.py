"""A running AI stand-in and the providers' own SDKs that talk to it."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from PIL import Image

from sandbox.ai_server.server import AIServer

if TYPE_CHECKING:
    from anthropic import Anthropic, AsyncAnthropic
    from openai import AsyncOpenAI, OpenAI

MODELS = {
    "openai": "gpt-6-luna",
    "google": "gemini-3-flash-preview",
    "groq": "meta-llama/llama-4-scout-17b-16e-instruct",
    "anthropic": "claude-sonnet-5-5",
}
CHAT_COMPLETIONS = ("openai", "google", "groq")


_clients: dict[tuple[object, ...], "OpenAI | Anthropic"] = {}
"""Kept until the stand-in stops: making one takes longer than a call."""


@contextmanager
def ai_server() -> Iterator[AIServer]:
    server = AIServer()
    server.start()
    try:
        yield server
    finally:
        for name in [name for name in _clients if name[0] is server]:
            _clients.pop(name).close()
        server.stop()


def openai_sdk(server: AIServer, face: str = "openai", *, key: str | None = None, timeout: float = 20) -> "OpenAI":
    from openai import OpenAI

    name = (server, face, key, timeout)
    if name not in _clients:
        url, key = server.base_url(face), key or server.keys[face]
        _clients[name] = OpenAI(base_url=url, api_key=key, max_retries=0, timeout=timeout)
    return cast("OpenAI", _clients[name])


def anthropic_sdk(server: AIServer, *, key: str | None = None) -> "Anthropic":
    from anthropic import Anthropic

    name = (server, "anthropic", key)
    if name not in _clients:
        url, key = server.base_url("anthropic"), key or server.keys["anthropic"]
        _clients[name] = Anthropic(base_url=url, api_key=key, max_retries=0, timeout=20)
    return cast("Anthropic", _clients[name])


def async_openai_sdk(server: AIServer, face: str = "openai") -> "AsyncOpenAI":
    """Close it in the loop that used it."""
    from openai import AsyncOpenAI

    return AsyncOpenAI(base_url=server.base_url(face), api_key=server.keys[face], max_retries=0, timeout=20)


def async_anthropic_sdk(server: AIServer) -> "AsyncAnthropic":
    """Close it in the loop that used it."""
    from anthropic import AsyncAnthropic

    url, key = server.base_url("anthropic"), server.keys["anthropic"]
    return AsyncAnthropic(base_url=url, api_key=key, max_retries=0, timeout=20)


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 48), **saved: Any) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, "red").save(content, kind, **saved)
    return content.getvalue()


def data_uri(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def asked(*urls: str, text: str = "Solve this") -> list[Any]:
    """The messages of a chat completion."""
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [{"type": "text", "text": text}, *pictures]}]


def asked_of_anthropic(content: bytes, media_type: str = "image/png", text: str = "Solve this") -> list[Any]:
    source = {"type": "base64", "media_type": media_type, "data": base64.b64encode(content).decode()}
    return [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": text}]}]

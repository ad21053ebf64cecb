"""What the tests of this package ask."""

import io
from uuid import uuid4

from PIL import Image

from providers.anthropic_messages import AnthropicMessages
from providers.catalogue import Model, read_catalogue
from providers.chat_completions import ChatCompletions
from providers.completion import Completion, Message, Picture, Prompt, Provider, Role
from providers.http_client import HttpClient
from providers.http_provider import HttpProvider

CATALOGUE = read_catalogue()
model_named = CATALOGUE.named
LUNA = model_named("openai", "gpt-6-luna")


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "white").save(file, "PNG")
    return file.getvalue()


MESSAGES = (
    Message(Role.SYSTEM, "You solve problems of mathematics."),
    Message(Role.USER, "Löse: 2x = 4", (Picture("image/png", png()),)),
)
PROMPT = Prompt(MESSAGES)
MODELS = {
    "openai": LUNA,
    "anthropic": model_named("anthropic", "claude-sonnet-5-5"),
    "google": model_named("google", "gemini-3.5-flash-lite"),
    "groq": model_named("groq", "openai/gpt-oss-120b"),
}


def provider_at(url: str, key: str, http: HttpClient, model: Model = LUNA) -> HttpProvider:
    wire = AnthropicMessages() if model.provider == "anthropic" else ChatCompletions(names=model.provider != "groq")
    return HttpProvider(model.provider, url, key, asked_model=model, wire=wire, http=http)


def ask(provider: Provider, model: Model = LUNA, seconds: float = 10, most: int = 2048) -> Completion:
    return provider.complete(model, MESSAGES, max_output_tokens=most, deadline_seconds=seconds, request_id=uuid4())

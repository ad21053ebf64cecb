"""What a request in OpenAI's format asks of which models: the prompt, how long it is, and what a model must be able to do for it."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from capabilities.chat.completions.bodies import CompletionBody, CompletionMessage, ContentPart
from capabilities.chat.conversations.context import BYTES_PER_TOKEN, tokens_of
from providers.catalogue import Model
from providers.completion import Format, Message, Picture, Prompt, Role
from security.edge.problems import ValidationFailed, field_error

TOKENS_A_PICTURE: Final = 3_000
"""The most that any of the providers makes of one."""
ROLES: Final = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.USER,
}
"""A message of a tool is only sent in OpenAI's format."""


@dataclass(frozen=True)
class Question:
    """`most_input`: the most tokens that the prompt can be. `only_openai` and `pictures`: the fields that need a model of OpenAI's
    format, and those with pictures.
    """

    body: CompletionBody
    prompt: Prompt
    options: Mapping[str, Any]
    most_input: int
    only_openai: Sequence[Sequence[str | int]]
    pictures: Sequence[Sequence[str | int]]

    @property
    def asked(self) -> Sequence[object]:
        """All of it, however the answer is to come."""
        body = self.body
        return body.model, self.prompt.as_sent, self.options, body.wanted_tokens, body.temperature

    def able(self, models: Sequence[Model], formats: Mapping[str, Format]) -> Sequence[Model]:
        """Those that can do what is asked. `formats` by provider. Raises ValidationFailed, which names the fields."""
        of_format = [model for model in models if formats[model.provider] is Format.CHAT_COMPLETIONS]
        needed = [*self.only_openai, *self.pictures]
        if needed and not of_format:
            raise _cannot(
                needed, "unsupported_by_model", "This model does not take this. Models of OpenAI, Google and Groq do"
            )
        if not needed:
            return models
        seeing = [model for model in of_format if model.pictures or not self.pictures]
        if not seeing:
            raise _cannot(self.pictures, "model_without_pictures", "This model does not read pictures")
        return seeing


def read_request(body: CompletionBody) -> Question:
    """Raises ValidationFailed where the messages are out of order."""
    _check_order(body.messages)
    options = body.options()
    messages = body.messages
    return Question(
        body,
        Prompt([_message(each) for each in messages], [_as_sent(each) for each in messages]),
        options,
        most_input=sum(map(_tokens, messages)) + -(-len(orjson.dumps(options)) // BYTES_PER_TOKEN) * bool(options),
        only_openai=[[name] for name in options] + list(_of_tools(messages)),
        pictures=[
            ["messages", at, "content", part]
            for at, message in enumerate(messages)
            for part, each in enumerate(message.content or ())
            if each.image_url is not None
        ],
    )


def _check_order(messages: Sequence[CompletionMessage]) -> None:
    """Instructions first, calls of tools answered at once, and the user or a tool last."""
    errors: list[tuple[Sequence[str | int], str]] = []
    begun, called = False, set[str]()
    for at, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in called:
                errors.append((["messages", at, "tool_call_id"], "No call right before has this id"))
            called.discard(message.tool_call_id or "")
        elif called:
            errors.append((["messages", at], "Answer the calls of tools before this message"))
            called.clear()
        if message.role in {"system", "developer"} and begun:
            errors.append((["messages", at, "role"], "Instructions come before all other messages"))
        begun = begun or message.role not in {"system", "developer"}
        if message.tool_calls is not None:
            called = {call.id for call in message.tool_calls}
    if called or messages[-1].role not in {"user", "tool"}:
        errors.append(
            (["messages", len(messages) - 1, "role"], "The last message is the user's, or the answer of a tool")
        )
    if errors:
        raise ValidationFailed([field_error(place, "message_out_of_order", words) for place, words in errors])


def _of_tools(messages: Sequence[CompletionMessage]) -> Iterator[Sequence[str | int]]:
    for at, message in enumerate(messages):
        if message.tool_calls is not None:
            yield ["messages", at, "tool_calls"]
        elif message.role == "tool":
            yield ["messages", at, "role"]


def _tokens(message: CompletionMessage) -> int:
    calls = [] if message.tool_calls is None else [call.model_dump() for call in message.tool_calls]
    pictures = sum(part.image_url is not None for part in message.content or ())
    size = len(message.text.encode()) + (len(orjson.dumps(calls)) if calls else 0)
    return tokens_of(size) + TOKENS_A_PICTURE * pictures


def _message(message: CompletionMessage) -> Message:
    return Message(ROLES[message.role], message.text, tuple(_pictures(message)))


def _pictures(message: CompletionMessage) -> Iterator[Picture]:
    for part in message.content or ():
        if part.image_url is not None:
            yield part.image_url.url


def _as_sent(message: CompletionMessage) -> Mapping[str, Any]:
    """Without what is not passed on. Groq knows no `name`, and all of them know instructions as `system`."""
    sent: dict[str, Any] = {"role": "system" if message.role == "developer" else message.role}
    parts = message.content or ()
    if len(parts) == 1 and parts[0].text is not None:
        sent["content"] = parts[0].text
    elif parts:
        sent["content"] = [_part(part) for part in parts]
    if message.tool_calls is not None:
        sent["tool_calls"] = [call.model_dump() for call in message.tool_calls]
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


def _part(part: ContentPart) -> Mapping[str, Any]:
    image = part.image_url
    if image is None:
        return {"type": "text", "text": part.text}
    picture: Picture = image.url
    url = f"data:{picture.media_type};base64,{b64encode(picture.data).decode()}"
    return {"type": "image_url", "image_url": {"url": url} | ({"detail": image.detail} if image.detail else {})}


def _cannot(places: Sequence[Sequence[str | int]], code: str, words: str) -> ValidationFailed:
    return ValidationFailed([field_error(place, code, words) for place in places])

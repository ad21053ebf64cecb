"""Calls of tools, which come in pieces: put together for those who wait for the whole answer."""

from collections.abc import Iterator, Mapping
from typing import Any

from capabilities.chat.completions.answers import FunctionCalled, ToolCalled


def pieces_of(delta: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of one chunk, as far as they are what OpenAI's format has. What else a provider adds is not passed on."""
    pieces = delta.get("tool_calls")
    return [_piece(each) for each in pieces if isinstance(each, dict)] if isinstance(pieces, list) else []


def _piece(sent: Mapping[str, Any]) -> dict[str, Any]:
    index = sent.get("index")
    piece: dict[str, Any] = {"index": index if type(index) is int else 0}
    if isinstance(call_id := sent.get("id"), str):
        piece |= {"id": call_id, "type": "function"}
    if isinstance(function := sent.get("function"), dict):
        piece["function"] = {
            name: text for name in ("name", "arguments") if isinstance(text := function.get(name), str)
        }
    return piece


class CalledTools:
    def __init__(self) -> None:
        self._calls: dict[int, dict[str, str]] = {}

    def add(self, pieces: list[dict[str, Any]]) -> None:
        for piece in pieces:
            call = self._calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] = piece.get("id") or call["id"]
            for name, text in piece.get("function", {}).items():
                call[name] += text

    def whole(self) -> Iterator[ToolCalled]:
        for _, call in sorted(self._calls.items()):
            yield ToolCalled(id=call["id"], function=FunctionCalled(name=call["name"], arguments=call["arguments"]))

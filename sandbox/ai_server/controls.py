"""/controls/<action>: for a person or another process, what a test does by calling the stand-in's methods.

CONTRIBUTING.md shows how.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.http_listener import Request

if TYPE_CHECKING:
    from sandbox.ai_server.server import AIServer

Fields = Mapping[str, Any]


class Controls:
    def __init__(self, server: "AIServer") -> None:
        self._server = server
        self._actions: dict[tuple[str, str], Callable[[Fields], dict[str, Any]]] = {
            ("POST", "next-answer"): self._next_answer,
            ("POST", "usual-answer"): self._usual_answer,
            ("POST", "release"): self._release,
            ("POST", "clear"): self._clear,
            ("GET", "books"): self._books,
            ("POST", "clear-books"): self._clear_books,
        }

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        action = self._actions.get((request.method, request.path.removeprefix("/controls/")))
        if action is None:
            return 404, {"error": "no such control", "controls": sorted(" ".join(each) for each in self._actions)}
        try:
            return 200, action(json.loads(request.body or b"{}"))
        except (TypeError, ValueError, AttributeError) as wrong:
            known = sorted(each.name for each in dataclasses.fields(NextAnswer))
            return 400, {"error": f"missing or malformed: {wrong}", "members": ["times", *known]}

    def _next_answer(self, fields: Fields) -> dict[str, Any]:
        members = dict(fields)
        times = int(members.pop("times", 1))
        self._server.next.add(NextAnswer(**members), times=times)
        return {"waiting": self._server.next.waiting}

    def _usual_answer(self, fields: Fields) -> dict[str, Any]:
        """Until `clear`."""
        self._server.next.usual = NextAnswer(**fields)
        return {"waiting": self._server.next.waiting}

    def _release(self, _: Fields) -> dict[str, Any]:
        self._server.next.release()
        return {"waiting": self._server.next.waiting}

    def _clear(self, _: Fields) -> dict[str, Any]:
        self._server.next.clear()
        return {"waiting": 0}

    def _books(self, _: Fields) -> dict[str, Any]:
        books = self._server.books
        return {"requests": list(books.as_json()), "most_at_once": books.most_at_once}

    def _clear_books(self, _: Fields) -> dict[str, Any]:
        self._server.books.clear()
        return {"requests": []}

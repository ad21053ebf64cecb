"""One connection of the gateway: which request gets which answer."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from examples.private_server.baseline_forecast import MODEL, forecast
from examples.private_server.mirror_verifier import RequestRefused, VerifiedRequest
from examples.private_server.misbehave import misbehave
from examples.private_server.read_question import QuestionInvalid, read_question
from examples.private_server.switches import Fault, Switches, SwitchesInvalid

if TYPE_CHECKING:
    from examples.private_server.server import Listener, PrivateServer

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
IDLE_SECONDS = 75
"""How long a connection may lie idle: longer than the gateway keeps one in its pool."""

log = logging.getLogger("private_server")


class Connection(BaseHTTPRequestHandler):
    """Reads request after request until one side closes."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: "Listener"

    @property
    def owner(self) -> "PrivateServer":
        return self.server.owner

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_DELETE = do_GET  # noqa: N815 (http.server looks for these names)

    def _handle(self) -> None:
        try:
            body = self._read_body()
            if self.owner.test_switches and self.path in ("/_switches", "/_seen"):
                self._control(body)
            elif self.path == "/health" and self.command == "GET" and "X-Mirror-Signature" not in self.headers:
                self.owner.note_health_check()
                self.send(200, {"Content-Type": JSON}, _health())
            else:
                self._handle_signed(
                    self.owner.verifier.verify(self.command, self.path, self.headers.items(), body), body
                )
        except RequestRefused as refused:
            self.owner.note_refusal(refused.code)
            log.warning("request refused: %s", refused.code)
            self.send(refused.status, refused.headers(), refused.body())

    def _read_body(self) -> bytes:
        """The whole body. Its length must be announced: the gateway always does."""
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise RequestRefused(411, "length_required")
        lengths = self.headers.get_all("Content-Length", ["0"])
        if len(lengths) != 1 or not lengths[0].isascii() or not lengths[0].isdigit():
            self.close_connection = True
            raise RequestRefused(400, "length_malformed")
        if len(lengths[0]) > 18 or int(lengths[0]) > self.owner.verifier.body_limit:
            self.close_connection = True
            raise RequestRefused(413, "body_too_large")
        body = self.rfile.read(int(lengths[0]))
        if len(body) < int(lengths[0]):
            raise ConnectionAbortedError("the request ended early")
        return body

    def _handle_signed(self, request: VerifiedRequest, body: bytes) -> None:
        path = self.path.partition("?")[0]
        if path == "/health" and self.command == "GET":
            self.owner.note_health_check()
            self.send_signed(request, 200, JSON, _health())
        elif path != self.owner.path:
            self.send_problem(request, 404, "not_found")
        elif self.command != "POST":
            self.send_problem(request, 405, "method_not_allowed", {"Allow": "POST"})
        else:
            self.owner.note_prediction(request)
            try:
                self._predict(request, body)
            finally:
                self.owner.note_finished()

    def _predict(self, request: VerifiedRequest, body: bytes) -> None:
        switches = self.owner.switches
        if switches.delay_seconds and self.owner.stopping.wait(switches.delay_seconds):
            self.close_connection = True
            return
        if switches.fault is not Fault.NONE:
            misbehave(self, request, switches)
            return
        try:
            question = read_question(body)
        except QuestionInvalid as invalid:
            self.send_problem(request, invalid.status, invalid.code, detail=str(invalid))
            return
        self.send_signed(request, 200, JSON, json.dumps(forecast(question), ensure_ascii=False).encode())

    def _control(self, body: bytes) -> None:
        owner = self.owner
        if (self.path, self.command) == ("/_seen", "GET"):
            self.send(200, {"Content-Type": JSON}, json.dumps(vars(owner.seen)).encode())
        elif (self.path, self.command) == ("/_seen", "DELETE"):
            owner.forget()
            self.send(204, {}, b"")
        elif (self.path, self.command) == ("/_switches", "POST"):
            try:
                owner.switches = Switches.from_json(json.loads(body))
            except ValueError as error:  # SwitchesInvalid and malformed JSON alike
                raise RequestRefused(422 if isinstance(error, SwitchesInvalid) else 400, "switches_invalid") from None
            self.send(204, {}, b"")
        else:
            raise RequestRefused(405, "method_not_allowed")

    def send_signed(
        self,
        request: VerifiedRequest,
        status: int,
        content_type: str,
        body: bytes,
        more: Mapping[str, str] | None = None,
    ) -> None:
        headers = self.owner.verifier.sign_response(request, status, content_type, body)
        self.send(status, {**headers, **(more or {})}, body)

    def send_problem(
        self,
        request: VerifiedRequest,
        status: int,
        code: str,
        more: Mapping[str, str] | None = None,
        detail: str | None = None,
    ) -> None:
        problem = {"title": _phrase(status), "status": status, "code": code}
        if detail is not None:
            problem["detail"] = detail
        self.send_signed(request, status, PROBLEM_JSON, json.dumps(problem).encode(), more)

    def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.wfile.write(self.head(status, headers, len(body)) + body)

    def head(self, status: int, headers: Mapping[str, str], length: int) -> bytes:
        """The answer's head as bytes, so that head and body leave in one packet."""
        lines = [f"HTTP/1.1 {status} {_phrase(status)}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {length}")
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself refuses (a bad request line, headers too long, an unknown method),
        without HTML.
        """
        self.close_connection = True
        refused = RequestRefused(code, "request_malformed")
        self.owner.note_refusal(refused.code)
        self.send(code, refused.headers(), refused.body())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is http.server's)
        """Nothing: http.server would write each request line to stderr."""


def _health() -> bytes:
    return json.dumps({"status": "ok", "model": MODEL}).encode()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unassigned"

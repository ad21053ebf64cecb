"""Answers on demand: the errors that Apple gives rarely and a caller must survive always."""

from collections import deque
from dataclasses import dataclass, field

from sandbox.http_listener import Reply

RETRYABLE_RECEIPT_STATUSES = range(21_100, 21_200)


@dataclass
class Faults:
    """Each fault is used up by one request; further requests are answered truthfully."""

    receipts: deque[Reply] = field(default_factory=deque)
    api: deque[Reply] = field(default_factory=deque)

    def next_for(self, *, legacy: bool) -> Reply | None:
        """What to answer instead of the truth: verifyReceipt and the Server API have a queue each."""
        try:
            return (self.receipts if legacy else self.api).popleft()
        except IndexError:
            return None

    def answer_receipts_with(self, status: int, *, times: int = 1, retryable: bool | None = None) -> None:
        """verifyReceipt's `status`, with HTTP 200 as always. 21100 to 21199 carry `is-retryable`."""
        body: dict[str, object] = {"status": status}
        if status in RETRYABLE_RECEIPT_STATUSES:
            body["is-retryable"] = True if retryable is None else retryable
        self.receipts.extend([Reply(200, body)] * times)

    def fail_receipts(self, http_status: int, *, times: int = 1) -> None:
        """An HTTP error with a page that is not JSON."""
        self.receipts.extend([Reply(http_status, "<html>Service Unavailable</html>")] * times)

    def fail_api(self, error_code: int, message: str = "On demand.", *, times: int = 1) -> None:
        """An App Store Server API error code such as 4290000; the first three digits are the HTTP status."""
        body = {"errorCode": error_code, "errorMessage": message}
        self.api.extend([Reply(error_code // 10_000, body)] * times)

    def refuse_api_sign_in(self, *, times: int = 1) -> None:
        """401 though the token is right: what production answers until the app's first release."""
        self.api.extend([Reply(401, "Unauthenticated")] * times)

    def hang_up(self, *, times: int = 1) -> None:
        """Close the connection without an answer, on both services."""
        self.receipts.extend([Reply(0, hang_up=True)] * times)
        self.api.extend([Reply(0, hang_up=True)] * times)

    def stall(self, seconds: float, *, times: int = 1) -> None:
        """Answer nothing for so long, then close the connection, on both services."""
        self.receipts.extend([Reply(0, hang_up=True, stall_seconds=seconds)] * times)
        self.api.extend([Reply(0, hang_up=True, stall_seconds=seconds)] * times)

    def clear(self) -> None:
        self.receipts.clear()
        self.api.clear()

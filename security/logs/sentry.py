"""Error reports to Sentry, started only when a DSN is set, without the data of the person whose request failed."""

import re
from collections.abc import Mapping
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.scrubber import DEFAULT_DENYLIST, DEFAULT_PII_DENYLIST, EventScrubber
from structlog.types import EventDict

from security.logs.context import current_names
from security.logs.mask_secrets import MASK, SECRET_NAMES, mask_values

_SECRET_NAMES = [
    *DEFAULT_DENYLIST,
    *SECRET_NAMES,
    "x-mirror-signature",
    "x-mirror-context",
    "stripe-signature",
    "ip",
    "http.query",  # of the requests that led to an error
    "http.fragment",
]
_KEPT_HEADERS = frozenset({"accept", "content-length", "content-type", "host", "user-agent", "x-request-id"})
_CODES = re.compile(r"\b\d{6,}\b")
"""Sign-in codes have six digits; they reach messages as text."""
_UNMASKED = frozenset({"timestamp", "event_id", "sdk", "modules", "release"})
_NUMBERS = frozenset({"sample_rand", "sample_rate"})
"""Of the trace, written as text. They hold no code, and are of no use masked."""


def start_sentry(dsn: str, environment: str, release: str) -> None:
    """Start reporting for this process.

    `send_default_pii` stays unset, which means off; setting it is deprecated. The SDK's defaults were seen to
    send passwords and tokens as local variables, query strings and custom headers, so the first two are off
    and everything that is left passes `_scrub`.
    """
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        release=release,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        integrations=[FlaskIntegration()],
        max_request_body_size="never",
        include_local_variables=False,
        event_scrubber=EventScrubber(
            recursive=True,
            denylist=_SECRET_NAMES,
            pii_denylist=DEFAULT_PII_DENYLIST,
        ),
        before_send=_report,
        before_breadcrumb=_scrub,
        trace_propagation_targets=[],  # the servers that we call are told nothing of it
    )


def report_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A processor of log lines: an error that was dealt with, but that nobody expected, is reported with its line's fields.

    Sentry's own part does the same for libraries. Whatever was reported already is not reported twice.
    """
    error = event.get("exc_info")
    if isinstance(error, BaseException):
        sentry_sdk.capture_exception(error, extras={name: value for name, value in event.items() if name != "exc_info"})
    return event


def _report(event: Any, hint: Mapping[str, Any]) -> Any:
    """Name the request and its caller, or the job, as the log lines do."""
    scrubbed = _scrub(event, hint)
    names = {name: str(value) for name, value in current_names().items()}
    if user_id := names.pop("user_id", None):
        scrubbed["user"] = {"id": user_id}
    scrubbed["tags"] = {**(scrubbed.get("tags") or {}), **names}
    return scrubbed


def _scrub(event: Any, _hint: Mapping[str, Any]) -> Any:
    """Keep what locates an error: the stack, the route, the ids.

    Cut the query, cookies, body and unknown headers.
    """
    reported = event.get("request")
    if reported is not None:
        headers = reported.get("headers") or {}
        event["request"] = {
            "method": reported.get("method"),
            "url": str(reported.get("url", "")).partition("?")[0],
            "headers": {name: value for name, value in headers.items() if name.lower() in _KEPT_HEADERS},
        }
    if "user" in event:
        event["user"] = {"id": (event["user"] or {}).get("id")}
    return {name: value if name in _UNMASKED else _without_codes(mask_values(value)) for name, value in event.items()}


def _without_codes(value: Any) -> Any:
    if isinstance(value, str):
        return _CODES.sub(MASK, value)
    if isinstance(value, dict):
        return {name: member if name in _NUMBERS else _without_codes(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_without_codes(member) for member in value]
    return value

"""A row of the log of calls, as its user sees it."""

from typing import Any

from metering.models import RequestLog
from metering.usage.bodies import CallRow, Status


def call_row(call: RequestLog) -> CallRow:
    details: dict[str, Any] = call.details or {}
    units = call.units or {}
    return CallRow(
        request_id=call.id,
        created_at=call.created_at,
        day=call.window_date,
        feature=call.feature,
        method=details.get("method"),
        route=details.get("route"),
        status=Status.OK if call.success else Status.FAILED,
        outcome=call.outcome,
        http_status=call.status,
        error=call.error_code,
        cost_cents=call.price_micros,
        key_id=call.api_key_id,
        provider=call.provider,
        model=call.model,
        mock=details.get("mock"),
        input_tokens=units.get("input_tokens"),
        output_tokens=units.get("output_tokens"),
        estimated=details.get("estimated"),
        response_time_ms=call.response_time_ms,
    )

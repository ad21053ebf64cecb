"""Calls that a customer made, without making them."""

from datetime import datetime
from uuid import UUID

from database.base import uuid7
from tests.admin.dashboard import Dashboard


def insert_call(
    dashboard: Dashboard,
    user_id: UUID,
    at: datetime,
    *,
    error: str | None = None,
    micros: int = 0,
    feature: str = "predict",
) -> UUID:
    call_id = uuid7()
    dashboard.query(
        "INSERT INTO request_logs (id, user_id, request_data_hash, success, outcome, response_time_ms, error_code, feature,"
        " tier, status, upstream_ms, window_date, price_micros, created_at)"
        " VALUES (:id, :user_id, repeat('a', 64), CAST(:error AS text) IS NULL, :outcome, 12, :error, :feature,"
        " 'free', :status, 9, :day, :micros, :at)",
        id=call_id,
        user_id=user_id,
        error=error,
        outcome="delivered" if error is None else "failed",
        feature=feature,
        status=200 if error is None else 502,
        day=at.date(),
        micros=micros,
        at=at,
    )
    return call_id

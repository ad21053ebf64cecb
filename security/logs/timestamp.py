"""The one form of time stamps in our logs (RFC 3339, UTC, microseconds)."""

from datetime import UTC, datetime


def timestamp() -> str:
    return f"{datetime.now(UTC).isoformat(timespec='microseconds')[:-6]}Z"

"""The public keys of an identity provider (RFC 7517): fetched rarely, by one thread at a time, and kept for a while."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
import requests
import structlog

from database.base import Clock
from security.edge.problems import DependencyUnavailable

FRESH = timedelta(hours=1)
USABLE = timedelta(hours=24)
"""Keys that could not be fetched again are believed for so long; providers announce new ones days ahead."""
BETWEEN_FETCHES = timedelta(minutes=1)
"""Anyone can invent a key id, so an unknown one leads to a fetch at most this often. So does a failure."""
TIMEOUT_SECONDS = (2.0, 3.0)
LARGEST_DOCUMENT = 256 * 1024
ALGORITHMS = frozenset({"RS256", "ES256"})


class ProviderUnavailable(DependencyUnavailable):
    """The provider's keys cannot be fetched, and none are known. Nobody is let in unchecked."""

    def __init__(self) -> None:
        super().__init__("We cannot reach the identity provider right now", seconds=30)


@dataclass(frozen=True)
class _Fetched:
    keys: Mapping[str, jwt.PyJWK]
    at: datetime


class ProviderKeys:
    """One per provider and process."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._fetching = threading.Lock()
        self._fetched: _Fetched | None = None
        self._tried_at: datetime | None = None

    def find(self, key_id: str) -> jwt.PyJWK | None:
        """None when the provider has no such key. Raises ProviderUnavailable."""
        fetched = self._current(FRESH)
        if key_id not in fetched.keys:
            fetched = self._current(timedelta(0))
        return fetched.keys.get(key_id)

    def _current(self, youngest: timedelta) -> _Fetched:
        """Keys that are no older than that if they can be had, else what is usable."""
        known = self._fetched
        if known is not None and self._clock() - known.at < youngest:
            return known
        with self._fetching:
            now = self._clock()
            known = self._fetched
            stale = known is None or now - known.at >= youngest
            if stale and (self._tried_at is None or now - self._tried_at >= BETWEEN_FETCHES):
                self._tried_at = now
                known = self._fetched = self._fetch(now) or known
        if known is None or now - known.at >= USABLE:
            raise ProviderUnavailable
        return known

    def _fetch(self, now: datetime) -> _Fetched | None:
        try:
            keys = jwt.PyJWKSet.from_json(self._document()).keys
        except (requests.RequestException, OSError, ValueError, AttributeError, TypeError, jwt.PyJWTError) as error:
            structlog.get_logger().warning("provider_keys_not_fetched", reason=type(error).__name__)
            return None
        return _Fetched({key.key_id: key for key in keys if key.key_id and key.algorithm_name in ALGORITHMS}, now)

    def _document(self) -> str:
        # A redirect is not followed: the address is what is trusted.
        with requests.get(self._url, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True) as answer:
            content: bytes = answer.raw.read(LARGEST_DOCUMENT + 1, decode_content=True)
            if answer.status_code != requests.codes.ok or len(content) > LARGEST_DOCUMENT:
                raise ValueError("these are no keys")
            return content.decode()

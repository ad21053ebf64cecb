"""When and from where an API key was last used. Written at most once a minute, so that calls cost no write each."""

from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Address, ip_address, ip_network
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from auth.audit.record import record
from auth.bounded_cache import BoundedCache
from auth.models import ApiKey
from database import transaction
from database.base import Clock

NOTED_EVERY = timedelta(minutes=1)
NETWORKS_PER_KEY = 50
IPV4_BITS = 24
IPV6_BITS = 48
"""A network here is what one operator hands out: a phone or an office changes its address inside it all the time."""


class KeyUses:
    """This process remembers what it noted; the row decides between processes."""

    def __init__(self, clock: Clock, *, remembered: int = 8192) -> None:
        self._clock = clock
        self._noted: BoundedCache[tuple[UUID, str], datetime] = BoundedCache(remembered)

    def note(self, key_id: UUID, address: str) -> None:
        """Never raises for PostgreSQL: the call itself says what becomes of it then."""
        now = self._clock()
        use = key_id, wide_network(address)
        noted = self._noted.get(use)
        if noted is not None and now - noted < NOTED_EVERY:
            return
        self._noted.put(use, now)  # first, so that parallel calls do not write as well
        try:
            _write(key_id, address, use[1], now)
        except SQLAlchemyError as error:
            self._noted.forget(use)
            structlog.get_logger().warning("api_key_use_not_noted", cause=type(error).__name__)


def _write(key_id: UUID, address: str, network: str, now: datetime) -> None:
    with transaction() as session:
        key = session.get(ApiKey, key_id, with_for_update=True)
        if key is None:
            return
        if network not in key.seen_networks:
            key.seen_networks = [*key.seen_networks, network][-NETWORKS_PER_KEY:]
            record(session, "api_key_used_from_new_network", now, user_id=key.user_id, key_id=str(key_id))
        if key.last_used_at is None or now - key.last_used_at >= NOTED_EVERY:
            key.last_used_at, key.last_used_ip = now, address


@lru_cache(4096)
def wide_network(address: str) -> str:
    parsed = ip_address(address)
    bits = IPV4_BITS if isinstance(parsed, IPv4Address) else IPV6_BITS
    return str(ip_network((parsed, bits), strict=False))

"""Tables of the gateway."""

from database.redis_epoch_models import RedisEpochMember, RedisEpochRow
from gateway.limit_models import UsageCounter, UsageGate, UsageReservation

__all__ = ["RedisEpochMember", "RedisEpochRow", "UsageCounter", "UsageGate", "UsageReservation"]

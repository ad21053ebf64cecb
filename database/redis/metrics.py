"""How often Redis failed a process."""

from prometheus_client import Counter

REDIS_FAILURES = Counter(
    "mirroros_redis_failures_total", "Commands that Redis did not answer in time or refused; each rests it for a second"
)

"""What providers tell us: events received and applied, those that wait, and what reconciling had to correct."""

from collections.abc import Iterable

from prometheus_client import Counter

from database.figures import Figure

RECEIVED = Counter(
    "mirroros_webhooks_received_total",
    "Verified events of a provider: stored, or known already",
    ("provider", "outcome"),
)
EVENTS = Counter(
    "mirroros_billing_events_total",
    "Attempts to apply a stored event, counted in the worker: applied, failed (tried again later) or dead",
    ("provider", "outcome"),
)
RECONCILE_FAILURES = Counter(
    "mirroros_reconcile_failures_total", "Runs that could not ask the provider, counted in the worker", ("reconciler",)
)

PENDING = Figure(
    "mirroros_inbox_pending",
    "Events of providers that are stored and not applied yet",
    "SELECT provider, count(*) FROM billing_events WHERE state = 'received' GROUP BY provider",
    labels=("provider",),
)
OLDEST_PENDING = Figure(
    "mirroros_inbox_oldest_seconds",
    "How long the event that has waited longest is stored and not applied",
    "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0) FROM billing_events WHERE state = 'received'",
)


def noted(always: Iterable[str]) -> Figure:
    """`always`: names that are shown before they are first noted, or nobody would see the first one rise."""
    names = ", ".join(f"'{name}'" for name in always)
    return Figure(
        "mirroros_billing_noted_total",
        "What payments noted for operators, by name: drift:… what reconciling corrected, dead:… events given up, and others",
        f"""SELECT name, coalesce(noted.count, 0) FROM unnest(ARRAY[{names}]::text[]) AS always (name)
            FULL JOIN billing_counts AS noted USING (name)""",  # nosec B608 # noqa: S608 - names of our own
        labels=("name",),
        kind="counter",
    )

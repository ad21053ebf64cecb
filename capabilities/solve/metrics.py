"""What solving is watched by, beside the figures of all metered calls and those of providers."""

from prometheus_client import Counter, Histogram

DECODE_SECONDS = Histogram(
    "mirroros_solve_decode_seconds",
    "Seconds to make of a picture what a provider gets",
    ("format",),
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
DECODE_WAIT_SECONDS = Histogram(
    "mirroros_solve_decode_wait_seconds",
    "Seconds that a picture waited for a decoder",
    buckets=(0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2),
)
PRICE_MICROS = Counter(
    "mirroros_solve_price_micros_total",
    "What delivered solves were charged, in millionths of the currency. mirroros_provider_cost_micros_total is what they cost",
)

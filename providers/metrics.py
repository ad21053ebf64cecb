"""Calls of AI providers. The models are those that operators named or the catalogue lists, so there are few."""

from prometheus_client import Counter, Histogram

PROVIDER_SECONDS = Histogram(
    "mirroros_provider_duration_seconds",
    "How long calls of AI providers took, by how they ended: completed, stopped by the reader, or the error that the client was told",
    ("provider", "model", "outcome"),
    buckets=(0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300),
)
PROVIDER_TOKENS = Counter(
    "mirroros_provider_tokens_total",
    "Tokens of completed calls: input or output",
    ("provider", "model", "direction"),
)
PROVIDER_COST = Counter(
    "mirroros_provider_cost_micros_total",
    "What calls of AI providers cost, in millionths of a US dollar, where the model's price is known",
    ("provider", "model"),
)

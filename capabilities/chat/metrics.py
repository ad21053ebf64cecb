"""What chat is watched by, beside the figures of all metered calls and those of providers."""

from prometheus_client import Counter, Gauge, Histogram

FIRST_TEXT_SECONDS = Histogram(
    "mirroros_chat_first_text_seconds",
    "Seconds from a message to the first text of its reply",
    ("provider",),
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60),
)
ADDED_SECONDS = Histogram(
    "mirroros_chat_added_seconds",
    "Seconds from a message to the asking of the provider: the part of the wait that is ours",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2),
)
DELTAS = Counter("mirroros_chat_deltas_total", "Pieces of text that providers sent")
REPLIES = Gauge("mirroros_chat_replies", "Replies that are being generated now", multiprocess_mode="livesum")
READERS = Gauge(
    "mirroros_chat_readers", "Requests that wait for a reply or follow one now", multiprocess_mode="livesum"
)
RECORDED_BYTES = Gauge(
    "mirroros_chat_recorded_bytes", "Bytes of the recordings that are held now", multiprocess_mode="livesum"
)
ENDED = Counter(
    "mirroros_chat_replies_ended_total",
    "Replies by provider, by how they ended (complete, stopped, failed), and why they were stopped or failed",
    ("provider", "state", "reason"),
)
SWEPT = Counter("mirroros_chat_replies_swept_total", "Replies whose process died")

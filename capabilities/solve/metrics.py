"""What solving is watched by, beside the figures of all metered calls."""

from prometheus_client import Counter, Histogram

DECODE_SECONDS = Histogram(
    "mirroros_solve_decode_seconds",
    "Seconds of a thread to prepare a picture",
    ["format"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
DECODE_WAIT_SECONDS = Histogram(
    "mirroros_solve_decode_wait_seconds",
    "Seconds that a picture waited for a thread",
    buckets=(0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2),
)
PICTURES_REFUSED = Counter("mirroros_solve_pictures_refused_total", "Pictures that were not taken", ["reason"])

"""What is measured of the catalogue."""

from typing import Final

from database.figures import Figure

DRIFT: Final = "shop_stock_drift"
"""What the nightly audit is counted as."""

STOCK_DRIFT: Final = Figure(
    "mirroros_shop_stock_drift_total",
    "Products whose stock was not the sum of its movements, counted by each nightly audit",
    f"SELECT coalesce(sum(count), 0) FROM billing_counts WHERE name = '{DRIFT}'",  # nosec B608 # noqa: S608 - our own name
    kind="counter",
)

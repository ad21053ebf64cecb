"""A cancelled order that was paid: all of its money goes back."""

from database.jobs.declare import JobName, Urgency

REFUND_ORDER = JobName("refund_order", Urgency.PAYMENTS)
"""Enqueued with the `order_id` of an order that was confirmed, in the transaction that cancels it."""

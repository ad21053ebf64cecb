"""Replies: sent for, generated, published to whoever reads them, taken up again, stopped."""

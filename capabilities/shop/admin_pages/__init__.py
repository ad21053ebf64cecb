"""The shop in the dashboard: orders to ship, orders, refunds, and products with their stock."""

"""Customers and single payments: payment intents, charges, refunds and disputes."""

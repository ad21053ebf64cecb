"""What is paid again and again: subscriptions, their schedules and their invoices."""

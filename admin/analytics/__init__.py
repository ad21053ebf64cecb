"""Reports on how the service is used and paid for, by day, week or month."""

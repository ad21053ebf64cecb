"""What happened, where it is sent, and how it gets there."""

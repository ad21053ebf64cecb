"""Host keys that the user accepted."""

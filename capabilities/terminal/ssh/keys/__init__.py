"""Private keys: uploaded or generated, sealed, listed, deleted."""

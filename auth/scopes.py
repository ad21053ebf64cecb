"""What an API key may be used for. A new metered capability adds a name of its own."""

from enum import StrEnum


class Scope(StrEnum):
    PREDICT = "predict"
    USAGE = "usage"


ACCOUNT = "account"
"""What only somebody who signed in may do. It is told to a key that tries, and no key can have it."""

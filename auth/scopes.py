"""What an API key may be used for: the scopes of accounts, and those that capabilities bring.

Which ones there are is settled where the application is put together. A stored key may name others, of a capability that is
off now: they count for nothing.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

USAGE: Final = "usage"
CORE_SCOPES: Final[Mapping[str, str]] = MappingProxyType({USAGE: "Read what is used and what is left."})
"""Name to title."""

ACCOUNT: Final = "account"
"""What only somebody who signed in may do. It is told to a key that tries, and no key can have it."""

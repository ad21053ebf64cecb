"""Whether a secret could be guessed.

Crude on purpose: it must catch defaults and slips, and never refuse random bytes.
"""

import math
from collections import Counter

MINIMUM_BYTES = 32
MINIMUM_BITS = 128

# Parts of values that stand in examples, tutorials and our own files. Compared without regard to case.
WELL_KNOWN_PARTS = (
    "change-me",
    "change_me",
    "changeme",
    "development-only",
    "dev-secret",
    "default",
    "example",
    "insecure",
    "password",
    "placeholder",
    "replace-me",
    "secret-key",
    "secret_key",
    "test-secret",
    "your-secret",
    "your_secret",
    "0123456789abcdef0123456789abcdef",  # the key of the published test vectors
)


def weakness_of(secret: str) -> str | None:
    """Why the secret is refused, in words that do not show it; None when it will do.

    The estimate of its variety is Shannon's entropy over its own characters. It is low for repetition and too
    high for words, which the list above is there for. A distinct-characters rule would refuse one in four
    64-digit hexadecimal secrets.
    """
    if len(secret.encode()) < MINIMUM_BYTES:
        return f"must be at least {MINIMUM_BYTES} bytes long"
    lowered = secret.lower()
    if any(part in lowered for part in WELL_KNOWN_PARTS):
        return "contains a well-known or example value"
    if (secret + secret).find(secret, 1) < len(secret):
        return "repeats one short piece"
    counts = Counter(secret).values()
    bits = -sum(count * math.log2(count / len(secret)) for count in counts)
    if bits < MINIMUM_BITS:
        return "has too little variety; generate it from random bytes"
    return None

"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07), as every operation that takes it reads it."""

import re
from typing import Final

from security.edge.problems import Problem

KEY: Final = re.compile(r"[!-~]{1,255}")
ENVIRON: Final = "HTTP_IDEMPOTENCY_KEY"


class IdempotencyKeyRequired(Problem):
    status, error, title = (
        400,
        "idempotency_key_required",
        "Send an Idempotency-Key, so that a repetition does nothing twice",
    )


class MalformedIdempotencyKey(Problem):
    status, error, title = 400, "malformed_idempotency_key", "Idempotency-Key must be 1 to 255 visible ASCII characters"

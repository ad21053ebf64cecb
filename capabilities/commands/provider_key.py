"""The caller's key for OpenRouter. It lives in one call, and nowhere else."""

import re
from typing import Final

from flask import request
from pydantic import SecretStr

from security.edge.problems import Problem, ValidationFailed, field_error

HEADER: Final = "X-OpenRouter-Key"
_ENVIRON: Final = "HTTP_X_OPENROUTER_KEY"
_KEY: Final = re.compile(r"[A-Za-z0-9._~+=-]{16,200}")
"""Nothing that JSON or a header writes in another way, so that a key that is repeated is found."""


class KeySentTwice(Problem):
    status, error, title = 400, "key_sent_twice", f"Send your key in {HEADER} or in api_key, not in both"


def provider_key(in_body: SecretStr | None) -> SecretStr:
    """Of this request, which does not hold the header any more after this. Raises KeySentTwice and ValidationFailed."""
    in_header: str | None = request.environ.pop(_ENVIRON, None)
    if in_header is not None and in_body is not None:
        raise KeySentTwice
    key = SecretStr(in_header) if in_header is not None else in_body
    if key is None:
        raise ValidationFailed(
            [field_error(["api_key"], "missing", f"Send your key for OpenRouter, here or in {HEADER}")]
        )
    if _KEY.fullmatch(key.get_secret_value()) is None:
        raise ValidationFailed([field_error(["api_key"], "value_error", "This is not a key for OpenRouter")])
    return key

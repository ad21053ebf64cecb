"""The digest is HMAC-SHA256, for keys of every length around SHA-256's block."""

import hmac
import secrets

import pytest

from security.keyed_digest import keyed_digest


@pytest.mark.parametrize("key_bytes", [1, 32, 63, 64, 65, 200])
@pytest.mark.parametrize("message_bytes", [0, 1, 64, 5000])
def test_the_digest_equals_that_of_the_standard_library(key_bytes: int, message_bytes: int) -> None:
    key, message = secrets.token_bytes(key_bytes), secrets.token_bytes(message_bytes)
    assert keyed_digest(key, message) == hmac.digest(key, message, "sha256")


def test_one_key_serves_many_messages() -> None:
    key = secrets.token_bytes(32)
    messages = [secrets.token_bytes(20) for _ in range(3)]
    assert [keyed_digest(key, each) for each in messages] == [hmac.digest(key, each, "sha256") for each in messages]

"""PRIVATE_API_SECRET and PRIVATE_API_KEYS as keys."""

import base64
import secrets

import pytest

from security.secrets.signing_keys import PrivateServerKeys


def typed(secret: bytes) -> str:
    return "msk_" + base64.b64encode(secret).decode()


def test_one_raw_secret_is_the_key_k1() -> None:
    raw = secrets.token_urlsafe(32)
    (key,) = PrivateServerKeys.from_settings(secret=raw, keys=None).keys
    assert (key.key_id, key.secret) == ("k1", raw.encode())


def test_one_typed_secret_is_decoded() -> None:
    secret = secrets.token_bytes(32)
    assert PrivateServerKeys.from_settings(secret=typed(secret), keys="").signing_key.secret == secret


def test_a_list_of_keys_replaces_the_one_secret_and_keeps_its_order() -> None:
    new, old = secrets.token_bytes(32), secrets.token_bytes(48)
    ring = PrivateServerKeys.from_settings(secret=secrets.token_urlsafe(32), keys=f"k2:{typed(new)}, k1:{typed(old)}")
    assert [(key.key_id, key.secret) for key in ring.keys] == [("k2", new), ("k1", old)]
    assert ring.find("k1") is ring.keys[1]
    assert ring.find("k3") is None


A_SECRET = secrets.token_bytes(32)


@pytest.mark.parametrize(
    ("secret", "keys"),
    [
        (None, None),
        ("", ""),
        (secrets.token_urlsafe(8), None),
        (typed(secrets.token_bytes(31)), None),
        ("msk_" + "%" * 44, None),
        (typed(A_SECRET).rstrip("="), None),
        (None, typed(A_SECRET)),
        (None, "k1:" + secrets.token_urlsafe(32)),
        (None, f"k 1:{typed(A_SECRET)}"),
        (None, f":{typed(A_SECRET)}"),
        (None, f"k1:{typed(A_SECRET)},"),
        (None, f"k1:{typed(A_SECRET)},k1:{typed(secrets.token_bytes(32))}"),
        (None, f"k1:{typed(A_SECRET)},k2:{typed(A_SECRET)}"),
    ],
    ids=[
        "nothing",
        "empty",
        "short",
        "short when decoded",
        "not base64",
        "no padding",
        "no id",
        "untyped in a list",
        "bad id",
        "empty id",
        "empty entry",
        "same id",
        "same secret",
    ],
)
def test_a_setting_that_is_no_key_is_refused_without_showing_it(secret: str | None, keys: str | None) -> None:
    with pytest.raises(ValueError, match=r"^must ") as refused:
        PrivateServerKeys.from_settings(secret=secret, keys=keys)
    for setting in (secret, keys):
        assert not setting or setting not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_secret_never_shows_in_a_log_or_an_error_report() -> None:
    raw = secrets.token_urlsafe(32)
    ring = PrivateServerKeys.from_settings(secret=raw, keys=None)
    assert raw not in repr(ring) + str(ring) + repr(ring.signing_key)

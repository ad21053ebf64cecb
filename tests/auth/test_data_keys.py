"""Sealing and digesting under a ring of keys"""

import secrets

import pytest

from auth.data_keys import DataKeys, SealedValueUnreadable

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
ALICE, BOB = b"alice", b"bob"


def test_what_was_sealed_can_be_opened_by_its_owner_alone() -> None:
    keys = DataKeys({"d1": OLD})
    sealed = keys.seal(b"secret", ALICE)
    assert keys.open(sealed, ALICE) == b"secret"
    with pytest.raises(SealedValueUnreadable):
        keys.open(sealed, BOB)


def test_sealing_twice_gives_two_values() -> None:
    keys = DataKeys({"d1": OLD})
    assert keys.seal(b"secret", ALICE) != keys.seal(b"secret", ALICE)


def test_a_new_key_is_put_in_front_and_the_old_one_still_reads() -> None:
    before, after = DataKeys({"d1": OLD}), DataKeys({"d2": NEW, "d1": OLD})
    assert after.open(before.seal(b"secret", ALICE), ALICE) == b"secret"
    assert after.digest_matches(before.digest(b"code"), b"code")
    assert after.seal(b"secret", ALICE).startswith(b"d2:")
    assert after.digest(b"code").startswith(b"d2:")


def test_what_was_sealed_under_a_key_that_is_gone_is_unreadable() -> None:
    before, after = DataKeys({"d1": OLD}), DataKeys({"d2": NEW})
    with pytest.raises(SealedValueUnreadable):
        after.open(before.seal(b"secret", ALICE), ALICE)
    assert not after.digest_matches(before.digest(b"code"), b"code")


@pytest.mark.parametrize("stored", [b"", b"d1", b"d1:", b"d1:short", b"\xff:x", b":", b"d1:" + bytes(60)])
def test_what_was_never_sealed_is_unreadable(stored: bytes) -> None:
    keys = DataKeys({"d1": OLD})
    with pytest.raises(SealedValueUnreadable):
        keys.open(stored, ALICE)
    assert not keys.digest_matches(stored, b"code")


def test_a_changed_value_is_unreadable() -> None:
    keys = DataKeys({"d1": OLD})
    sealed = bytearray(keys.seal(b"secret", ALICE))
    sealed[-1] ^= 1
    with pytest.raises(SealedValueUnreadable):
        keys.open(bytes(sealed), ALICE)


def test_a_ring_is_not_empty() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        DataKeys({})

"""How passwords are hashed: the scheme, and the threads that do it."""

import os
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest

from auth.password_hashing.bcrypt_hash import Passwords, Verdict
from auth.password_hashing.worker_pool import PasswordWork, PasswordWorkBusy

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)


def hold(started: threading.Event, release: threading.Event) -> None:
    started.set()
    release.wait(10)


@pytest.fixture
def work() -> PasswordWork:
    return PasswordWork()


def test_a_hash_from_before_there_was_a_pepper_matches_and_is_outdated(work: PasswordWork) -> None:
    stored = Passwords(work, cost=4).hash("tulip canoe orbit")
    peppered = Passwords(work, cost=4, pepper=NEW)
    assert peppered.verify("tulip canoe orbit", stored) == Verdict(matches=True, outdated=True)
    assert peppered.hash("tulip canoe orbit").startswith("mo2$p1$$2b$04$")


def test_the_right_id_with_another_key_does_not_match(work: PasswordWork) -> None:
    stored = Passwords(work, cost=4, pepper=OLD).hash("tulip canoe orbit")
    assert not Passwords(work, cost=4, pepper=NEW).verify("tulip canoe orbit", stored).matches


def test_text_that_can_be_no_password_matches_nothing(work: PasswordWork) -> None:
    passwords = Passwords(work, cost=4)
    stored = passwords.hash("tulip canoe orbit")
    legacy = bcrypt.hashpw(b"tulip canoe orbit", bcrypt.gensalt(4)).decode()
    for text in ("x" * 257, "\U0001f98a" * 257, "tulip\0canoe", "tulip\ud800"):
        assert not passwords.verify(text, stored).matches
        assert not passwords.verify(text, legacy).matches
        assert not passwords.verify(text, None).matches


@pytest.mark.parametrize("bare", [True, False], ids=["of an earlier system", "ours"])
def test_a_row_of_any_cost_takes_as_much_work_as_an_account_that_is_not_there(
    work: PasswordWork, monkeypatch: pytest.MonkeyPatch, bare: bool
) -> None:
    """bcrypt does 2 to the power of the cost rounds."""
    checked: list[int] = []
    check = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        checked.append(2 ** int(hashed[4:6]))
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    passwords = Passwords(work, cost=8)
    for cost in range(4, 9):
        earlier = bcrypt.hashpw(b"tulip canoe orbit", bcrypt.gensalt(cost)).decode()
        stored = earlier if bare else Passwords(work, cost=cost).hash("tulip canoe orbit")
        for typed in ("tulip canoe orbit", "another"):
            checked.clear()
            assert passwords.verify(typed, stored).matches == (typed != "another")
            assert sum(checked) == 2**8
    checked.clear()
    passwords.verify("tulip canoe orbit", None)
    assert sum(checked) == 2**8


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives every thread its own priority")
def test_hashing_runs_at_low_priority_and_leaves_the_caller_alone(work: PasswordWork) -> None:
    def own_priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = own_priority()
    assert work.run(own_priority) == 15
    assert own_priority() == before


def test_who_would_wait_too_long_is_told_to_come_back() -> None:
    work = PasswordWork(threads=1, wait_seconds=0.01)
    release = threading.Event()
    with ThreadPoolExecutor(1) as other:
        started = threading.Event()
        busy = other.submit(work.run, lambda: hold(started, release))
        assert started.wait(10)
        with pytest.raises(PasswordWorkBusy) as refused:
            work.run(int)
        assert refused.value.status == 503
        assert int(refused.value.headers["Retry-After"]) >= 1
        release.set()
        busy.result(10)
    assert work.run(int) == 0


def test_only_so_many_wait_at_all() -> None:
    work = PasswordWork(threads=1, wait_seconds=10, waiting_limit=0)
    release = threading.Event()
    with ThreadPoolExecutor(1) as other:
        started = threading.Event()
        busy = other.submit(work.run, lambda: hold(started, release))
        assert started.wait(10)
        with pytest.raises(PasswordWorkBusy):
            work.run(int)
        with pytest.raises(PasswordWorkBusy), work.slot():
            raise AssertionError("there was no slot to have")
        release.set()
        busy.result(10)


def test_work_that_fails_gives_its_thread_back() -> None:
    work = PasswordWork(threads=1, wait_seconds=0.01, waiting_limit=0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            work.run(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError), work.slot():
            _ = 1 // 0
    assert work.run(int) == 0


def test_work_in_a_turn_does_not_wait_again() -> None:
    work = PasswordWork(threads=1, wait_seconds=0.01, waiting_limit=0)
    with work.slot():
        assert (work.run(int), work.run(str)) == (0, "")
        with ThreadPoolExecutor(1) as other, pytest.raises(PasswordWorkBusy):
            other.submit(work.run, int).result(10)
    with ThreadPoolExecutor(1) as other:
        assert other.submit(work.run, int).result(10) == 0

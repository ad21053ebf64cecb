"""Which command of this checkout runs the embedded servers. Others use them; nobody starts a second set on the data."""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

LOCK = "services.lock"
ADDRESSES = "services.json"


class Claim:
    """Held until it is released or its process ends, however it ends: the kernel gives the lock back."""

    def __init__(self, folder: Path, lock: "IO[str]") -> None:
        self._folder, self._lock = folder, lock

    def publish(self, addresses: Mapping[str, str]) -> None:
        """Let other commands use the servers, by the variables that name them. They hold a password: owner only."""
        draft = self._folder / f"{ADDRESSES}.new"
        with suppress(FileNotFoundError):
            draft.unlink()
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(dict(addresses), file)
        draft.replace(self._folder / ADDRESSES)

    def release(self) -> None:
        withdraw(self._folder)
        self._lock.close()


def claim_services(folder: Path) -> Claim | None:
    """The claim, or None while another command holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / LOCK).open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    withdraw(folder)  # of a command that was killed
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return Claim(folder, lock)


def withdraw(folder: Path) -> None:
    (folder / ADDRESSES).unlink(missing_ok=True)


def holder(folder: Path) -> str:
    """The process id of the command that holds the claim, as text; empty when it has not been written yet."""
    with suppress(FileNotFoundError):
        return (folder / LOCK).read_text().strip()
    return ""


def published_addresses(folder: Path) -> dict[str, str] | None:
    """What the holder published. None when it did not, because it ends soon, or when there is none."""
    try:
        addresses: dict[str, str] = json.loads((folder / ADDRESSES).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return addresses

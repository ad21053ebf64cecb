"""One command of a checkout runs the embedded servers."""

import subprocess
import sys
from pathlib import Path

from sandbox.claim import claim_services, holder, published_addresses


def test_a_second_claim_is_refused_until_the_first_is_released(tmp_path: Path) -> None:
    first = claim_services(tmp_path)
    assert first is not None
    assert claim_services(tmp_path) is None
    first.release()
    again = claim_services(tmp_path)
    assert again is not None
    again.release()


def test_addresses_are_published_to_the_owner_alone_and_withdrawn(tmp_path: Path) -> None:
    claim = claim_services(tmp_path)
    assert claim is not None
    assert published_addresses(tmp_path) is None
    claim.publish({"DATABASE_URL": "postgresql://127.0.0.1/x"})
    assert published_addresses(tmp_path) == {"DATABASE_URL": "postgresql://127.0.0.1/x"}
    assert (tmp_path / "services.json").stat().st_mode & 0o777 == 0o600
    claim.release()
    assert published_addresses(tmp_path) is None


def test_the_claim_of_a_killed_command_is_free_and_its_addresses_are_forgotten(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from sandbox.claim import claim_services\n"
        "claim = claim_services(pathlib.Path(sys.argv[1])); claim.publish({'REDIS_URL': 'x'}); print(os.getpid())\n"
        "sys.stdout.flush(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert holder(tmp_path) == done.stdout.strip()

    claim = claim_services(tmp_path)
    assert claim is not None
    assert published_addresses(tmp_path) is None
    claim.release()

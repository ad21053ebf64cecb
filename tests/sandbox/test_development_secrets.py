"""The secrets of a developer's machine."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sandbox.development_secrets import development_secrets


def test_secrets_are_made_once_and_kept_for_the_owner_alone(tmp_path: Path) -> None:
    first = development_secrets(tmp_path, {})
    assert set(first) == {"SECRET_KEY", "PRIVATE_API_SECRET"}
    assert len(set(first.values())) == 2
    assert all(len(value) >= 32 for value in first.values())
    assert development_secrets(tmp_path, {"SECRET_KEY": " "}) == first
    assert (tmp_path / "development-secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_is_set_is_left_alone(tmp_path: Path) -> None:
    assert set(development_secrets(tmp_path, {"SECRET_KEY": "mine"})) == {"PRIVATE_API_SECRET"}
    assert set(development_secrets(tmp_path, {"SECRET_KEY_FILE": "/run/key"})) == {"PRIVATE_API_SECRET"}
    assert set(development_secrets(tmp_path, {"PRIVATE_API_KEYS": "k1:mine"})) == {"SECRET_KEY"}


def test_nothing_is_written_when_every_secret_is_set(tmp_path: Path) -> None:
    environ = {"SECRET_KEY": "mine", "PRIVATE_API_SECRET": "mine too"}
    assert development_secrets(tmp_path / "none", environ) == {}
    assert not (tmp_path / "none").exists()


def test_two_processes_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda _: development_secrets(tmp_path, {}), range(2)))
    assert made[0] == made[1]

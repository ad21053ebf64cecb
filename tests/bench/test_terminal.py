"""The bench of the terminal runs."""

import pytest

from bench import compare
from bench.processors import NOT_PINNED
from bench.services import services
from bench.terminal import Sizes, terminal
from sandbox.open_ssh import find_sshd

TINY = Sizes(callers=20, sockets=10, rounds=2, keys=10, pause=0, size=1024 * 1024)


@pytest.mark.slow
def test_it_runs_with_tiny_sizes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if find_sshd() is None:
        pytest.skip("sshd is not installed")
    monkeypatch.setattr(compare, "WARM_UP_SECONDS", 0.1)
    monkeypatch.setattr(compare, "WINDOW_SECONDS", 0.5)
    with services() as running:
        assert terminal(running, NOT_PINNED, TINY)
    assert capsys.readouterr().out.count("to reach") == 6

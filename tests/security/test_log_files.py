"""`LOG_DIR`: the log as files, written by several processes, while others move the files away."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import structlog
from flask import Flask

from config import SettingsInvalid, load_settings
from security.logs.files import LogFiles
from security.logs.folder import FILES
from security.logs.log import configure_logging, security_event
from tests.toy_api import toy_app

ROOT = Path(__file__).parents[2]
NOBODY = 65534
LINES = 200
WRITER = """
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from security.logs.files import LogFiles
files = LogFiles(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    files(None, "error", {"writer": sys.argv[3], "number": number, "filling": sys.argv[3] * 9000})
    files.append_request(b'{"writer":"%s"}' % sys.argv[3].encode())
"""


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An application whose log has the folder `tmp_path`."""
    made: list[LogFiles] = []

    class Remembered(LogFiles):
        def __init__(self, folder: Path) -> None:
            super().__init__(folder)
            made.append(self)

    monkeypatch.setattr("security.logs.log.LogFiles", Remembered)
    yield toy_app(request_log=configure_logging("INFO", folder=tmp_path))
    configure_logging("INFO")
    made[0].close()


def lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def events(folder: Path) -> dict[str, list[str]]:
    return {name: [line["event"] for line in lines(folder / name)] for name in FILES}


def test_each_kind_of_line_has_its_file_and_all_are_on_standard_output(
    logged: Flask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logged.test_client().get("/toy/wishes")
    structlog.get_logger().warning("slow")
    structlog.get_logger().error("broken")
    security_event("signed_in", notable=False)
    assert events(tmp_path) == {
        "access.log": ["request"],
        "app.log": ["slow", "broken", "signed_in"],
        "error.log": ["broken"],
        "security.log": ["signed_in"],
    }
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in shown] == ["request", "slow", "broken", "signed_in"]
    kept = {line["event"]: line for name in ("access.log", "app.log") for line in lines(tmp_path / name)}
    assert kept == {line["event"]: line for line in shown}


def test_secrets_are_masked_in_files_as_well(logged: Flask, tmp_path: Path) -> None:
    structlog.get_logger().error("failed for alice@example.com", password="tulip")
    text = "".join((tmp_path / name).read_text() for name in FILES)
    assert "alice" not in text
    assert "tulip" not in text


def test_a_file_that_was_moved_away_is_opened_anew(logged: Flask, tmp_path: Path) -> None:
    structlog.get_logger().info("before")
    (tmp_path / "app.log").rename(tmp_path / "app.log.1")
    structlog.get_logger().info("after")
    assert [line["event"] for line in lines(tmp_path / "app.log.1")] == ["before"]
    assert [line["event"] for line in lines(tmp_path / "app.log")] == ["after"]


def test_a_folder_that_is_gone_refuses_no_request_and_is_used_again_when_it_is_back(
    logged: Flask, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in FILES:
        (tmp_path / name).unlink()
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    structlog.get_logger().info("while it is gone")
    assert logged.test_client().get("/toy/wishes").status_code == 200
    moved.rename(tmp_path)
    structlog.get_logger().info("back")
    assert [line["event"] for line in lines(tmp_path / "app.log")] == ["back"]
    assert [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()] == [
        "while it is gone",
        "request",
        "back",
    ]


def test_a_disk_that_was_full_is_written_to_again_when_a_file_is_deleted(logged: Flask, tmp_path: Path) -> None:
    """/dev/full takes nothing, not even what waits to be written when it is closed."""
    client = logged.test_client()
    for name in ("app.log", "access.log"):
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to("/dev/full")
    structlog.get_logger().info("not written")
    assert client.get("/toy/wishes").status_code == 200
    for name in ("app.log", "access.log"):
        (tmp_path / name).unlink()
    for _ in range(2):  # with the first one it is noticed
        structlog.get_logger().info("written")
        client.get("/toy/wishes")
    assert events(tmp_path) == {"app.log": ["written"], "access.log": ["request"], "error.log": [], "security.log": []}


def test_lines_of_several_processes_do_not_mix_while_the_files_are_rotated(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(LINES), letter], cwd=ROOT) for letter in "ab"
    ]
    rotations = 0
    while any(writer.poll() is None for writer in writers):
        for name in ("app.log", "access.log"):
            if (tmp_path / name).exists():
                rotations += 1
                (tmp_path / name).rename(tmp_path / f"{name}.{rotations}")
    assert [writer.wait() for writer in writers] == [0, 0]
    whole = [line for file in tmp_path.glob("app.log*") for line in lines(file)]
    assert Counter(line["writer"] for line in whole) == {"a": LINES, "b": LINES}
    assert all(line["filling"] == line["writer"] * 9000 for line in whole)
    assert Counter(line["writer"] for file in tmp_path.glob("access.log*") for line in lines(file)) == {
        "a": LINES,
        "b": LINES,
    }
    assert rotations > 2


class TestSetting:
    def refusal(self, folder: Path) -> str:
        with pytest.raises(SettingsInvalid) as refusal:
            load_settings({"LOG_DIR": str(folder)})
        (problem,) = refusal.value.problems
        return problem

    def test_a_folder_is_taken_and_nothing_is_created_in_it(self, tmp_path: Path) -> None:
        assert load_settings({"LOG_DIR": str(tmp_path)}).log_dir == tmp_path
        assert list(tmp_path.iterdir()) == []

    def test_without_it_there_are_no_files(self) -> None:
        assert load_settings({}).log_dir is None

    def test_a_folder_that_does_not_exist_is_refused(self, tmp_path: Path) -> None:
        assert self.refusal(tmp_path / "logs") == "LOG_DIR must be a folder that exists"

    def test_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "logs").touch()
        assert self.refusal(tmp_path / "logs") == "LOG_DIR must be a folder that exists"

    @pytest.mark.parametrize(
        ("folder_mode", "problem"),
        [(0o755, "must be a folder that this process can write to"), (0o777, "contains app.log, which this process")],
    )
    def test_what_belongs_to_somebody_else_is_refused(self, folder_mode: int, problem: str) -> None:
        """As after a command that somebody ran as root in the service's place."""
        if os.geteuid() != 0:
            pytest.skip("only root can become somebody else")
        with TemporaryDirectory() as folder:
            Path(folder).chmod(folder_mode)
            (Path(folder) / "app.log").touch(0o644)
            os.seteuid(NOBODY)
            try:
                refusal = self.refusal(Path(folder))
            finally:
                os.seteuid(0)
        assert problem in refusal

"""Commands of `flask` for `make run`, all in one process: each takes a moment, and putting the application together takes seconds."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TextIO

from sandbox.cannot_start import CannotStart
from sandbox.services import ROOT


@dataclass(frozen=True)
class Done:
    exit_code: int
    stdout: str
    stderr: str


class FlaskCommands:
    """Starts with the first command and ends with the block."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is closed in __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()  # the end of its input ends it
        self._errors.close()

    def __call__(self, *command: str, typed: str = "") -> Done:
        """Raises CannotStart where there is no application, or the command breaks off."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sandbox.flask_commands"],
                env=dict(self._environ),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,  # a file, because nobody reads along
                text=True,
                process_group=0,  # Ctrl-C in a terminal is for the command that started it, which stops it in order
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([command, typed]) + "\n")
            self._process.stdin.flush()
            return Done(*json.loads(self._process.stdout.readline()))
        except (BrokenPipeError, ValueError):
            self._process.wait()
            self._errors.seek(0)
            raise CannotStart(f"`flask {' '.join(command)}` failed: {self._errors.read().strip()}") from None


def own_output() -> TextIO:
    """For answers alone: whatever else is printed, such as logs, goes where errors go."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def main() -> None:
    answers = own_output()
    from flask.cli import ScriptInfo  # noqa: PLC0415 - only this process needs it

    runner = ScriptInfo().load_app().test_cli_runner(catch_exceptions=False)
    for line in sys.stdin:
        command, typed = json.loads(line)
        done = runner.invoke(args=command, input=typed)
        print(json.dumps([done.exit_code, done.stdout, done.stderr]), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""Runs the checks one after the other. Each has a deadline and a fence: one that hangs or breaks is a line like any other."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from settings.production_check import CannotAsk, ProductionCheck, Shortcoming

DEADLINE_SECONDS = 10.0


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Verdict:
    """One line. `mend` is None where there is nothing to do."""

    level: Level
    check: str
    text: str
    mend: str | None = None


def run_checks(checks: Iterable[ProductionCheck], deadline: float = DEADLINE_SECONDS) -> Iterator[Verdict]:
    """`deadline`: the seconds that each check may take."""
    silent: set[str] = set()
    for check in checks:
        if check.needs in silent:
            silent.add(check.name)
            yield Verdict(Level.SKIPPED, check.name, f"Not checked, because of the failure of: {check.needs}.")
            continue
        run = _Run(check)
        run.start(deadline)
        if not run.answered:
            silent.add(check.name)
        yield from run.verdicts()


@dataclass
class _Run:
    """What a check has found so far. Its thread is left behind when it hangs; it does not keep the process alive."""

    check: ProductionCheck
    found: list[Shortcoming] = field(default_factory=list)
    answered: bool = False

    def start(self, deadline: float) -> None:
        thread = threading.Thread(target=self._find, name=self.check.name, daemon=True)
        thread.start()
        thread.join(deadline)
        if thread.is_alive():
            hangs = f"No answer within {deadline:g} seconds."
            self.found = [
                *self.found,
                Shortcoming(hangs, "See whether the other side is overloaded or a firewall drops packets."),
            ]

    def _find(self) -> None:
        found = self.found
        try:
            for each in self.check.find():
                found.append(each)
            self.answered = True
        except CannotAsk as silence:
            found.append(silence.shortcoming)
        except Exception as error:  # the text of an error may hold a secret
            text = f"The check itself failed with {type(error).__name__}."
            found.append(Shortcoming(text, "Run it again. If this stays, report it with the version of the API."))

    def verdicts(self) -> Iterator[Verdict]:
        name = self.check.name
        for each in self.found:
            yield Verdict(Level.FAILURE if each.fails else Level.WARNING, name, each.text, each.mend)
        if not self.found:
            yield Verdict(Level.OK, name, self.check.right)

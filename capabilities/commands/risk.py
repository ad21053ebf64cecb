"""How much a command can destroy. Our own rules say the least; a model may find more, never less."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Risk(StrEnum):
    LOW = "low"
    """It reads, or changes what is easily restored."""
    MEDIUM = "medium"
    """It changes what takes work to restore."""
    HIGH = "high"
    """It can destroy data or a system, or runs what nobody has read."""


ORDER: Final = tuple(Risk)
_START = r"(?:^|[\s;&|(`{/])"
"""Before a command's name, which may have a path."""
_REST = r"[^;&|\n]{0,1000}"
"""Of one command. It is bounded, so that looking at a long text stays quick."""
RULES: Final[Sequence[tuple[str, str]]] = (
    (
        rf"{_START}rm\b(?={_REST}\s(?:-[a-z]*r|--recursive\b))(?={_REST}\s(?:-[a-z]*f|--force\b))",
        "`rm -rf` deletes a folder and all that is in it, without asking.",
    ),
    (rf"{_START}dd\b{_REST}\sof=", "`dd of=` overwrites a file or a whole disk."),
    (rf"{_START}mkfs(?:\.\w+)?\b", "`mkfs` erases a file system."),
    (
        rf"{_START}(?:curl|wget)\b[^;\n]{{0,1000}}\|\s*(?:sudo\b[^|;\n]{{0,200}}?\s)?(?:\S*/)?(?:env\s+)?(?:ba|z|da|k|fi)?sh\b"
        rf"|{_START}(?:ba|z|da|k|fi)?sh\b{_REST}(?:<\(|\$\(|`)\s*(?:curl|wget)\b"
        rf"|{_START}(?:eval|source|\.)\s+(?:<\(|\$\(|`)\s*(?:curl|wget)\b",
        "It runs what it downloads, which nobody has read.",
    ),
    (
        r"([\w:.]{1,40})\s{0,9}\(\)\s{0,9}\{[^}]{0,200}\1\s{0,9}\|\s{0,9}\1\s{0,9}&",
        "It is a fork bomb: it starts itself until the machine stands still.",
    ),
    (
        rf"{_START}chmod\b(?={_REST}\s(?:-[a-z]*R|--recursive\b))(?={_REST}\s(?:0?777|a\+rwx)\b){_REST}\s/(?:\*|\s|;|&|\||$)",
        "`chmod -R 777 /` lets everybody change the whole system.",
    ),
    (r">\s*/dev/(?:sd|hd|vd|xvd|nvme|mmcblk|disk)\w*", "It overwrites a disk."),
    (
        rf"{_START}git(?:\s+-\S+(?:\s+[^\s-]\S*)?){{0,9}}\s+push\b{_REST}\s(?:--force(?![\w-])|-[a-z]*f[a-z]*(?=\s|$)|\+\S)",
        "`git push --force` replaces what others have pushed.",
    ),
)
_COMPILED: Final = [(re.compile(pattern, re.MULTILINE | re.IGNORECASE), reason) for pattern, reason in RULES]
_QUOTES = re.compile(r"\\\n|[\\'\"]|\$\{IFS\}|\$IFS")


@dataclass(frozen=True, slots=True)
class Judgement:
    risk: Risk
    reasons: list[str]


def judged(command: str, risk: Risk = Risk.LOW, reasons: Sequence[str] = ()) -> Judgement:
    """`risk` and `reasons` are a model's."""
    found = list(_reasons(command))
    least = Risk.HIGH if found else Risk.LOW
    return Judgement(max(least, risk, key=ORDER.index), [*found, *(each for each in reasons if each not in found)])


def _reasons(command: str) -> Iterator[str]:
    """Quotes and backslashes within a word change nothing for a shell, so they are looked through."""
    plain = _QUOTES.sub(lambda match: " " if "\n" in match[0] or "IFS" in match[0] else "", command)
    for rule, reason in _COMPILED:
        if rule.search(command) or rule.search(plain):
            yield reason

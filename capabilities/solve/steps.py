"""The steps of a solution. A numbered list, not JSON: in JSON every backslash of LaTeX would have to be doubled, and models forget."""

import re
from dataclasses import dataclass
from typing import Final

ASK_FOR_STEPS: Final = (
    "Write the solution as a numbered list: one step on each line, beginning with `1. `, `2. ` and so on. "
    "After the last step write one line that begins with `Answer: ` and holds the result alone."
)
_STEP: Final = re.compile(
    r"^[ \t]*(?:\*\*|#+[ \t]*)?(?:step[ \t]+)?(\d{1,3})[.):](?:\*\*)?[ \t]+", re.IGNORECASE | re.MULTILINE
)
_ANSWER: Final = re.compile(r"^[ \t]*(?:\*\*)?(?:final )?answer:(?:\*\*)?[ \t]*", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Solution:
    """`steps` is None when it could not be split."""

    answer: str
    steps: list[str] | None


def solution_in_steps(text: str) -> Solution:
    """Steps are counted from 1 on, so lists within a step stay in it. What is not in that form is the answer as a whole."""
    *_, answer = (None, *_ANSWER.finditer(text))
    working, result = (text, text) if answer is None else (text[: answer.start()], text[answer.end() :])
    begins: list[tuple[int, int]] = []
    for match in _STEP.finditer(working):
        if int(match[1]) == len(begins) + 1:
            begins.append((match.start(), match.end()))
    ends = [start for start, _ in (*begins, (len(working), 0))][1:]
    steps = [working[begin:end].strip() for (_, begin), end in zip(begins, ends, strict=True)]
    return Solution(result.strip() or text.strip(), steps if steps and all(steps) else None)

"""A capability is a package of its own: the rest of the product does not know its name."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOMES = ("capabilities/solve/", "providers/", "payments/billing/", "sandbox/ai_server/", "compat.py", "docs/", "tests/")
SHOWN = ("sandbox/first_solve.py", "sandbox/run.py")
"""`make run` shows a line to try, as it does of predictions."""
MEASURED = "bench/"
REGISTRATION = "capabilities/__init__.py"
CODE = {".py", ".html", ".css", ".js", ".mjs", ".toml", ".sql", ".lua", ".ini"}
NOT_OURS = {"node_modules", "static", "__pycache__"}
WORD = re.compile(r"(?<![a-z])solv(?:e|es|ed|ing|er)(?![a-z])", re.IGNORECASE)
"""A part of a name in snake case counts. "Resolve" does not."""


def test_only_the_tuple_of_capabilities_learned_the_word_solve() -> None:
    files = [
        file
        for top in ROOT.iterdir()
        if not top.name.startswith(".")
        for file in (top.rglob("*") if top.is_dir() else [top])
        if file.suffix in CODE and NOT_OURS.isdisjoint(file.relative_to(ROOT).parts)
    ]
    knowing = {name for file in files if WORD.search(file.read_text("utf-8")) for name in [str(file.relative_to(ROOT))]}
    assert "capabilities/solve/routes.py" in knowing
    assert {name for name in knowing if not name.startswith((*HOMES, *SHOWN, MEASURED))} == {REGISTRATION}

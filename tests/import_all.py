"""Imports all modules of its arguments, and prints each import of a module that had only begun. tests/test_imports.py runs it."""

import builtins
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import resolve_name
from typing import Any

real_import = builtins.__import__


def has_only_begun(module: str) -> bool:
    return getattr(getattr(sys.modules.get(module), "__spec__", None), "_initializing", False)


def imports_in_a_circle(importer: str, imported: Sequence[str]) -> Iterator[str]:
    """A package may import what it consists of, which may import it: whoever comes to any of them comes to the package first."""
    for module in filter(has_only_begun, imported):
        begun = list(filter(has_only_begun, sys.modules))
        circle = begun[begun.index(module) + 1 :]
        if not all(each.startswith(f"{module}.") for each in circle):
            yield f"{importer} imports {module}, which has only begun: {' > '.join([module, *circle])}"


def watched_import(
    name: str,
    globals: Mapping[str, Any] | None = None,  # noqa: A002 - it replaces what has this name
    locals: Mapping[str, Any] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    if globals is not None and str(globals.get("__name__")).partition(".")[0] in OURS:
        full = resolve_name("." * level + name, globals["__package__"]) if level else name
        for line in imports_in_a_circle(globals["__name__"], [full, *(f"{full}.{each}" for each in fromlist or ())]):
            print(line)  # noqa: T201
    return real_import(name, globals, locals, fromlist or (), level)


if __name__ == "__main__":
    OURS = {module.partition(".")[0] for module in sys.argv[1:]}
    builtins.__import__ = watched_import
    for module in sys.argv[1:]:
        __import__(module)

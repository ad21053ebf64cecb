"""What a request may say, read from the type hints of the installed packages: their TypedDicts hold every parameter.

The packages are generated from the providers' own OpenAPI documents, so what this refuses the real API of that version
would refuse.
"""

import typing
from collections import abc
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typing_extensions

from sandbox.ai_server.refusals import Path, WrongParameter

JSON_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a decimal"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)
WRAPPERS = {
    typing.Required,
    typing.NotRequired,
    typing_extensions.Required,
    typing_extensions.NotRequired,
    typing.Annotated,
}
LITERALS = {Literal, typing_extensions.Literal}
ARRAYS = {list, abc.Iterable, abc.Sequence}


def check_parameters(body: object, shape: Any) -> None:
    """Raises WrongParameter, which names the first wrong one."""
    check(body, shape, ())


def check(value: Any, hint: Any, path: Path) -> None:
    origin = get_origin(hint)
    if origin in WRAPPERS:
        check(value, get_args(hint)[0], path)
    elif origin in {Union, UnionType}:
        check_one_of(value, get_args(hint), path)
    elif origin in LITERALS:
        if value not in get_args(hint) or isinstance(value, bool) is not isinstance(get_args(hint)[0], bool):
            raise WrongParameter(path, "value", ", ".join(f"'{each}'" for each in get_args(hint)), str(value))
    elif is_array(hint):
        require(value, hint, path)
        for number, each in enumerate(value):
            check(each, get_args(hint)[0], (*path, number))
    elif typing_extensions.is_typeddict(hint):
        require(value, hint, path)
        check_members(value, hint, path)
    elif hint not in {Any, object}:
        require(value, hint, path)


def check_members(value: dict[str, Any], shape: Any, path: Path) -> None:
    hints, required = members(shape)
    for name in value:
        if name not in hints:
            raise WrongParameter((*path, name), "unknown")
    for name, hint in hints.items():
        if name in value:
            check(value[name], hint, (*path, name))
        elif name in required:
            raise WrongParameter((*path, name), "missing")


def check_one_of(value: Any, alternatives: tuple[Any, ...], path: Path) -> None:
    """Objects are told apart by the members that have one value only, as `role` and `type` have."""
    fitting = [each for each in alternatives if fits(value, each)]
    if not fitting:
        wanted = " or ".join(dict.fromkeys(kind_of(each) for each in alternatives if kind_of(each)))
        raise WrongParameter(path, "type", wanted, named(value))
    marked = [each for each in fitting if isinstance(value, dict) and marks(each, value)]
    problems: list[WrongParameter] = []
    for each in marked or fitting:
        try:
            return check(value, each, path)
        except WrongParameter as problem:
            problems.append(problem)
    raise tag_problem(value, fitting, path) if not marked and isinstance(value, dict) else deepest(problems)


def tag_problem(value: dict[str, Any], alternatives: list[Any], path: Path) -> WrongParameter:
    """No alternative has the value that the object gives for `type` or `role`."""
    for name in ("type", "role"):
        known = [str(option) for each in alternatives for option in options(each, name)]
        if not known:
            continue
        if name not in value:
            return WrongParameter((*path, name), "missing")
        listed = ", ".join(f"'{each}'" for each in dict.fromkeys(known))
        return WrongParameter((*path, name), "value", listed, str(value[name]))
    return WrongParameter(path, "value")


def deepest(problems: list[WrongParameter]) -> WrongParameter:
    """Of the alternative that was followed furthest."""
    return max(problems, key=lambda problem: len(problem.path))


def marks(shape: Any, value: dict[str, Any]) -> bool:
    """Whether every member that has one value only has it."""
    tags = [name for name in ("type", "role") if options(shape, name)]
    return bool(tags) and all(value.get(name) in options(shape, name) for name in tags)


def options(shape: Any, name: str) -> tuple[Any, ...]:
    if not typing_extensions.is_typeddict(shape):
        return ()
    hint = members(shape)[0].get(name)
    while get_origin(hint) in WRAPPERS:
        hint = get_args(hint)[0]
    return get_args(hint) if get_origin(hint) in LITERALS else ()


@cache
def members(shape: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """The hints of a TypedDict by name, and the names that must be given."""
    hints = get_type_hints(shape, include_extras=True)
    # Hints are text in these packages, so `Required` is not seen by what makes `__required_keys__`.
    required = {
        name
        for name, hint in hints.items()
        if get_origin(hint) in {typing.Required, typing_extensions.Required}
        or (name in shape.__required_keys__ and get_origin(hint) not in WRAPPERS)
    }
    return hints, frozenset(required)


def require(value: Any, hint: Any, path: Path) -> None:
    if not fits(value, hint):
        raise WrongParameter(path, "type", kind_of(hint), named(value))


def fits(value: Any, hint: Any) -> bool:
    """Whether the value is of the JSON type that the hint stands for."""
    kind = kind_of(hint)
    if get_origin(hint) in {Union, UnionType}:
        return any(fits(value, each) for each in get_args(hint))
    if hint in {Any, object}:
        return True
    if kind == "a decimal":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return kind != "" and named(value) == kind


def kind_of(hint: Any) -> str:
    """Empty for what cannot stand in JSON, such as an open file."""
    origin = get_origin(hint)
    if origin in WRAPPERS:
        return kind_of(get_args(hint)[0])
    if origin in LITERALS:
        return named(get_args(hint)[0])
    if is_array(hint):
        return "an array"
    if typing_extensions.is_typeddict(hint) or origin in {dict, abc.Mapping}:
        return "an object"
    if hint is NoneType:
        return "null"
    return next((name for kind, name in JSON_TYPES if hint is kind), "")


def is_array(hint: Any) -> bool:
    origin = get_origin(hint)
    return origin in ARRAYS or getattr(origin, "__name__", "") == "SequenceNotStr"


def named(value: Any) -> str:
    if value is None:
        return "null"
    return next((name for kind, name in JSON_TYPES if type(value) is kind), type(value).__name__)

"""Where the text of each setting comes from: the environment, a mounted file, or a developer's `.env`."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dotenv import dotenv_values

from security.api.typed_text import trimmed

QUOTES = "\"'"


def with_env_file(environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """The environment, with `.env` below it: a variable that is set wins over the file."""
    if env_file is None or not env_file.is_file():
        return dict(environ)
    written = {name: value for name, value in dotenv_values(env_file).items() if value is not None}
    return {**written, **environ}


def source_of(name: str, environ: Mapping[str, str], env_file: Path | None) -> str:
    """`environment`, `default`, `.env`, or the path of a mounted file.

    Flask's own commands put `.env` into the environment, so a text that stands in both is the file's.
    """
    written = with_env_file({}, env_file)
    for found in (name, f"{name}_FILE"):
        if text := trimmed(environ.get(found, "") or written.get(found, "")):
            if found != name:
                return f"file {text}"
            return ".env" if trimmed(written.get(found, "")) == text else "environment"
    return "default"


def read_settings(names: Iterable[str], environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The texts that are set, and for each name that could not be read the reason."""
    texts, problems = {}, {}
    for name in names:
        try:
            if text := _text(name, environ):
                texts[name] = text
        except ValueError as reason:
            problems[name] = str(reason)
    return texts, problems


def _text(name: str, environ: Mapping[str, str]) -> str:
    """Empty counts as not set, as compose and dashboards leave it.

    `NAME_FILE` is for secrets that the platform mounts as files. Blanks and line breaks around the text are not part of
    it. Raises ValueError, also for a text in quotation marks: shells and `.env` files take them away, while
    `docker --env-file` and dashboards keep them.
    """
    text = trimmed(environ.get(name, ""))
    path = trimmed(environ.get(f"{name}_FILE", ""))
    if any(len(given) > 1 and given[0] == given[-1] and given[0] in QUOTES for given in (text, path)):
        raise ValueError("is in quotation marks, which would be part of the value; remove them")
    if not path:
        return text
    if text:
        raise ValueError(f"cannot be set together with {name}_FILE; remove one of them")
    try:
        return trimmed(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ValueError(f"could not be read from the file in {name}_FILE") from None

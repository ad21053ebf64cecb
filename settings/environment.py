"""Where the text of each setting comes from: the environment, a mounted file, or a developer's `.env`."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from dotenv import dotenv_values

from security.api.typed_text import trimmed

QUOTES = "\"'"


class SettingUnreadable(ValueError):
    """The message goes on after the variable's name."""


def with_env_file(environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """The environment, with `.env` below it: a variable that is set wins over the file."""
    if env_file is None or not env_file.is_file():
        return dict(environ)
    written = {name: value for name, value in dotenv_values(env_file).items() if value is not None}
    return {**written, **environ}


def setting_text(name: str, environ: Mapping[str, str]) -> str | None:
    """The text of one setting; None when it is not set.

    Empty counts as not set, as compose and dashboards leave it.

    `NAME_FILE` is for secrets that the platform mounts as files. Blanks and line breaks around the text are not part of
    it. Raises SettingUnreadable, also for a text in quotation marks: shells and `.env` files take them away, while
    `docker --env-file` and dashboards keep them.
    """
    text = trimmed(environ.get(name, ""))
    path = trimmed(environ.get(f"{name}_FILE", ""))
    if any(len(given) > 1 and given[0] == given[-1] and given[0] in QUOTES for given in (text, path)):
        raise SettingUnreadable("is in quotation marks, which would be part of the value; remove them")
    if not path:
        return text or None
    if text:
        raise SettingUnreadable(f"cannot be set together with {name}_FILE; remove one of them")
    try:
        return trimmed(Path(path).read_text(encoding="utf-8")) or None
    except (OSError, UnicodeDecodeError):
        raise SettingUnreadable(f"could not be read from the file in {name}_FILE") from None


def read_settings(names: Iterable[str], environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The texts that are set, and for each name that could not be read the reason."""
    texts, problems = {}, {}
    for name in names:
        try:
            text = setting_text(name, environ)
        except SettingUnreadable as reason:
            problems[name] = str(reason)
            continue
        if text is not None:
            texts[name] = text
    return texts, problems

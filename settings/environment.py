"""Where the text of each setting comes from: the environment, a mounted file, or a developer's `.env`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dotenv import dotenv_values

from security.api.typed_text import trimmed
from settings.defaults import environment_of
from settings.section import Environment

QUOTES = "\"'"

OF_DEBUG: Final = {"1": Environment.DEVELOPMENT, "0": Environment.PRODUCTION}
DEBUG: Final = "DEBUG"
"""What an earlier product called `FLASK_ENV`."""
SWITCHES: Final = {"true": "1", "on": "1", "yes": "1", "false": "0", "off": "0", "no": "0"}

FORMER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "DJANGO_SECRET_KEY": "SECRET_KEY",
        "DJANGO_DEBUG": "FLASK_ENV",
        "ALLOWED_HOSTS": "TRUSTED_HOSTS",
        "CORS_ALLOWED_ORIGINS": "CORS_ORIGINS",
        "NODE_ENV": "FLASK_ENV",
        "JWT_SECRET": "JWT_SECRET_KEY",
        "STRIPE_KEY": "STRIPE_SECRET_KEY",
        "ALLOWED_ORIGINS": "CORS_ORIGINS",
        "ALGORITHM": "JWT_ALGORITHM",
        "ACCESS_TOKEN_LIFETIME": "JWT_ACCESS_TOKEN_EXPIRE_MINUTES",
        "SHORT_REFRESH_TOKEN_LIFETIME": "JWT_SHORT_REFRESH_EXPIRE_MINUTES",
        "LONG_REFRESH_TOKEN_LIFETIME": "JWT_REFRESH_TOKEN_EXPIRE_DAYS",
    }
)
"""What earlier products called a variable, to its name of today."""
IGNORED_PREFIX: Final = "SUPABASE_"
"""Of the service that kept the accounts of an earlier product."""
FIXED: Final = "API_V1_STR"
"""Where an earlier product's paths began."""


@dataclass(frozen=True)
class NamesOfToday:
    """An environment in which former names are replaced. `used`: those that were, to the name of today.

    `problems`: former names that could not be replaced, and why; they stay in the environment. `ignored`: what nothing here reads,
    and why.
    """

    environ: dict[str, str]
    used: dict[str, str]
    problems: dict[str, str]
    ignored: dict[str, str]

    @property
    def remarks(self) -> list[str]:
        return [
            *(f"{former} is the former name of {name}. Set {name} instead." for former, name in self.used.items()),
            *(f"{name} is ignored: {why}. Remove it." for name, why in self.ignored.items()),
        ]


def with_env_file(environ: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """The environment, with `.env` below it: a variable that is set wins over the file."""
    if env_file is None or not env_file.is_file():
        return dict(environ)
    written = {name: value for name, value in dotenv_values(env_file).items() if value is not None}
    return {**written, **environ}


def with_names_of_today(environ: Mapping[str, str]) -> NamesOfToday:
    ignored = {name: "accounts are kept in DATABASE_URL" for name in sorted(environ) if name.startswith(IGNORED_PREFIX)}
    if FIXED in environ:
        ignored[FIXED] = "all paths begin with /api"
    renamed = NamesOfToday(dict(environ), {}, {}, ignored)
    for former, name in FORMER_NAMES.items():
        try:
            text = _text(former, environ)
            if text and former in _READ_DIFFERENTLY:
                text = _READ_DIFFERENTLY[former](text)
        except ValueError as reason:
            renamed.problems[former] = str(reason)
            continue
        today = read_settings((name,), renamed.environ)[0].get(name, "")
        if text and today and text != today:
            renamed.problems[former] = (
                f"is the former name of {name}, which is set to something else; remove one of them"
            )
        elif text:
            renamed.used[former] = name
            if not today:
                renamed.environ[name] = text
            for read in (former, f"{former}_FILE"):
                renamed.environ.pop(read, None)
    _judge_debug(renamed)
    return renamed


def _judge_debug(renamed: NamesOfToday) -> None:
    """`DEBUG=true` means development, and is refused where something says otherwise. Off, it means production if nothing says more.

    Other programs read a variable of this name too, so any other text is theirs.
    """
    text = trimmed(renamed.environ.get(DEBUG, "")).lower()
    environment = OF_DEBUG.get(SWITCHES.get(text, text))
    if environment is None:
        return
    named = environment_of(renamed.environ)
    if environment is Environment.DEVELOPMENT and named not in {None, environment}:
        renamed.problems[DEBUG] = f"must not be on in {named}; remove it"
        return
    if named is None:
        renamed.environ["FLASK_ENV"] = environment
    renamed.used[DEBUG] = "FLASK_ENV"
    renamed.environ.pop(DEBUG)


def _environment_of_debug(text: str) -> str:
    lowered = text.lower()
    environment = OF_DEBUG.get(SWITCHES.get(lowered, lowered))
    if environment is None:
        raise ValueError("must be 1 for development or 0 for production; better set FLASK_ENV")
    return environment


def _days_of_minutes(text: str) -> str:
    days, rest = divmod(int(text), 24 * 60) if text.isascii() and text.isdigit() else (0, 1)
    if rest:
        raise ValueError(
            "must be minutes that make whole days, such as 43200; better set JWT_REFRESH_TOKEN_EXPIRE_DAYS"
        )
    return str(days)


_READ_DIFFERENTLY: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {"DJANGO_DEBUG": _environment_of_debug, "LONG_REFRESH_TOKEN_LIFETIME": _days_of_minutes}
)
"""Former names whose text meant something else. Each raises ValueError for what it cannot read."""


def source_of(name: str, environ: Mapping[str, str], env_file: Path | None) -> str:
    """`environment`, `default`, `.env`, or the path of a mounted file; for a former name, also that.

    Flask's own commands put `.env` into the environment, so a text that stands in both is the file's.
    """
    written = with_env_file({}, env_file)
    former_names = [former for former, today in FORMER_NAMES.items() if today == name]
    for read in (name, *former_names, *([DEBUG] if name == "FLASK_ENV" else [])):
        told = "" if read == name else f", as {read}"
        for found in (read, f"{read}_FILE"):
            if text := trimmed(environ.get(found, "") or written.get(found, "")):
                if found != read:
                    return f"file {text}{told}"
                return (".env" if trimmed(written.get(found, "")) == text else "environment") + told
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

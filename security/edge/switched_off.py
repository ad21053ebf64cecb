"""Routes that exist only when a setting is made: whoever asks for one is told so, and not that the address is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Flask

_KEY = "switched_off"


@dataclass(frozen=True)
class _SwitchedOff:
    settings: Mapping[str, str]
    name_settings: bool


def note_switched_off(app: Flask, settings: Mapping[str, str], *, name_settings: bool) -> None:
    """`settings`: the beginning of a path to what has to be set. Only developers are told which setting it is."""
    app.extensions[_KEY] = _SwitchedOff(settings, name_settings)


def told_of_path(app: Flask, path: str) -> str | None:
    """A sentence for a path that has no route; None when no setting would change that."""
    noted: _SwitchedOff | None = app.extensions.get(_KEY)
    if noted is None:
        return None
    for beginning, setting in noted.settings.items():
        if path == beginning or path.startswith(f"{beginning}/"):
            return (
                f"This is turned off on this server{f'. To turn it on, set {setting}' if noted.name_settings else ''}"
            )
    return None

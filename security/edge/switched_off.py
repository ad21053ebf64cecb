"""Routes that exist only when a setting is made: whoever asks for one is told so, and not that the address is wrong."""

from collections.abc import Mapping

from flask import Flask

_KEY = "switched_off"


def note_switched_off(app: Flask, settings: Mapping[str, str], *, name_settings: bool) -> None:
    """`settings`: the beginning of a path to what has to be set. Only developers are told which setting it is."""
    app.extensions[_KEY] = {
        path: f"This is turned off on this server{f'. To turn it on, set {setting}' if name_settings else ''}"
        for path, setting in settings.items()
    }


def told_of_path(app: Flask, path: str) -> str | None:
    """A sentence for a path that has no route; None when no setting would change that."""
    told: dict[str, str] = app.extensions.get(_KEY, {})
    return next((text for beginning, text in told.items() if f"{path}/".startswith(f"{beginning}/")), None)

"""Where a request comes from, as far as it says so."""

from dataclasses import dataclass

LONGEST_USER_AGENT = 256


@dataclass(frozen=True)
class Device:
    """Where a sign-in comes from, as far as the request says. `name` is what its owner calls it."""

    user_agent: str | None
    ip: str
    name: str | None = None


def printable(user_agent: str | None) -> str | None:
    """At most 256 characters, and nothing that a terminal or a page would act upon."""
    if user_agent is None:
        return None
    return "".join(character if character.isprintable() else "?" for character in user_agent[:LONGEST_USER_AGENT])

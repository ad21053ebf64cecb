"""Where a request comes from, as far as it says so."""

from dataclasses import dataclass

from flask import request

from security.edge.client_address import client_address

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


def device(name: str | None = None) -> Device:
    """The device of the present request."""
    return Device(user_agent=request.environ.get("HTTP_USER_AGENT"), ip=client_address(), name=name)

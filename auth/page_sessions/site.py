"""The sites: server-rendered pages of ours that people sign in to with a cookie."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from auth.principal import Role
from auth.sessions.lifetimes import SessionLifetimes


@dataclass(frozen=True)
class Site:
    """`root`: what the paths of its pages begin with. `title`: what its pages, and its sessions, are called. `scheme`: its name
    among the ways to sign in.

    `role`: whoever has less is not let in. `asks_for_second_factor`: whoever has none must set one up first.
    """

    name: str
    root: str
    title: str
    scheme: str
    lifetimes: SessionLifetimes
    role: Role
    asks_for_second_factor: bool

    def has(self, path: str) -> bool:
        return path == self.root or path.startswith(f"{self.root}/")


ADMIN: Final = Site(
    name="admin",
    root="/admin",
    title="Dashboard",
    scheme="staffSession",
    # NIST SP 800-63B-4, 2.2.3 and 2.3.3, ask for at most an hour and a day at assurance level 2; this is a working day.
    lifetimes=SessionLifetimes(idle=timedelta(minutes=30), absolute=timedelta(hours=12)),
    role=Role.SUPPORT,
    asks_for_second_factor=True,
)
PORTAL: Final = Site(
    name="portal",
    root="/portal",
    title="Portal",
    scheme="portalSession",
    lifetimes=SessionLifetimes(idle=timedelta(hours=1), absolute=timedelta(hours=24)),
    role=Role.USER,
    asks_for_second_factor=False,
)
SITES: Final = (ADMIN, PORTAL)

"""How a package adds pages to the dashboard. docs/decisions/0020-dashboard.md shows one from end to end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, render_template

from auth.principal import Role
from auth.staff.guards import StaffGuards
from security.api.answers import Answer, Answers, Page, PageData, SeeOther
from security.api.models import FilledIn
from security.pages.html_page import PageBlueprint, page_policy

ADMIN: Final = "/admin"
PAGE: Final = Page(page_policy(scripts=True), forms=True)
SHOWS: Final[Answers] = MappingProxyType({200: PAGE})
"""For `answers` of a page."""
SENDS_ON: Final[Answers] = MappingProxyType({303: SeeOther()})
"""For `answers` of what takes a form."""
GIVES_DATA: Final[Answers] = MappingProxyType({200: PageData()})
"""For `answers` of what a page's script asks for."""


@dataclass(frozen=True)
class AdminPages:
    """An entry of the dashboard's navigation, for those whose role includes `role`, and the pages behind it.

    They stand below `/admin/<name>`, the first one at that address itself. `routes` makes them: a `StaffPages` of that name,
    whose operations are guarded by what it is given.
    """

    name: str
    title: str
    routes: Callable[[StaffGuards], Blueprint]
    role: Role = Role.SUPPORT


class PageQuery(FilledIn):
    """Base of the query of a page: filters that were left empty count as not sent."""

    done: str | None = None
    """Which act led here, see `StaffPages`."""


class StaffPages(PageBlueprint):
    """Pages below `/admin/<name>`, with the `templates` and `static` beside the module. A template extends `admin.html`.

    `done` says in words what an act did, by the short name that `see_other` puts into the address of the next page. Template
    names are shared by the whole application, so begin them with the name of the pages.
    """

    def __init__(self, name: str, import_name: str, *, done: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(f"admin_{name}", import_name, url_prefix=f"{ADMIN}/{name}")
        self.done = dict(done)


def show(template: str, **values: Any) -> Answer:
    """A page. `title` is its heading."""
    return Answer(200, render_template(template, **values))


def see_other(path: str, done: str | None = None) -> Answer:
    """What a form that was taken answers with: the page that shows what came of it."""
    return Answer(303, headers={"Location": path if done is None else f"{path}?{urlencode({'done': done})}"})

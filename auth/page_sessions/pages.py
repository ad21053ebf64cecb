"""How a package adds pages to a site. docs/decisions/0020-dashboard.md shows one of the dashboard from end to end."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, render_template
from pydantic import BaseModel

from auth.page_sessions.guards import PageGuards
from auth.page_sessions.site import Site
from auth.principal import Role
from security.api.answers import Answer, Answers, Page, PageData, SeeOther
from security.api.models import FilledIn
from security.api.operation import Guard, operation
from security.api.request_bodies import RequestBody
from security.edge.problems import Problem
from security.pages.html_page import PageBlueprint, page_policy

PAGE: Final = Page(page_policy(scripts=True), forms=True)
SHOWS: Final[Answers] = MappingProxyType({200: PAGE})
"""For `answers` of a page."""
SENDS_ON: Final[Answers] = MappingProxyType({303: SeeOther()})
"""For `answers` of what takes a form."""
GIVES_DATA: Final[Answers] = MappingProxyType({200: PageData()})
"""For `answers` of what a page's script asks for."""


@dataclass(frozen=True)
class Subject:
    """An entry of a site's navigation, for those whose role includes `role`, and the pages behind it.

    They stand below `<root>/<name>`, the first one at that address itself. `routes` makes them: a `SitePages` of that name,
    whose operations are guarded by what it is given.
    """

    name: str
    title: str
    routes: Callable[[PageGuards], Blueprint]
    role: Role = Role.USER


class PageQuery(FilledIn):
    """Base of the query of a page: filters that were left empty count as not sent."""

    done: str | None = None
    """Which act led here, see `SitePages`."""

    def kept(self, *, but: str | None = None) -> dict[str, str]:
        """The filters as they were sent, for an act of one row that leads back to the same list. `but`: what names that row."""
        return self.model_dump(
            mode="json", by_alias=True, exclude_unset=True, exclude_none=True, exclude={"done", but or ""}
        )


class SitePages(PageBlueprint):
    """Pages below `<root>/<name>`, with the `templates` and `static` beside the module. A template extends `site.html`.

    `done` says in words what an act did, by the short name that `see_other` puts into the address of the next page. Template
    names are shared by the whole application, so begin them with the name of the pages.
    """

    def __init__(
        self, site: Site, name: str, import_name: str, *, done: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(f"{site.name}_{name}", import_name, url_prefix=f"{site.root}/{name}")
        self.done = dict(done)


def act_with_form(
    pages: Blueprint,
    path: str,
    *,
    operation_ids: tuple[str, str],
    summary: str,
    guard: Guard,
    form: Callable[..., Answer],
    act: Callable[..., Answer],
    body: RequestBody | tuple[RequestBody, ...] = (),
    query: type[BaseModel] | None = None,
    answers: Answers = SENDS_ON,
    problems: Sequence[type[Problem]] = (),
) -> None:
    """An act, and the page at the same address that asks for it: who may not act is told before filling in a form.

    `form` shows the page and `act` takes what it sends. They are called as handlers of `operation` are, `act` with the body too.
    """
    for method, operation_id, handler, answered, sent in (
        ("GET", operation_ids[0], form, SHOWS, ()),
        ("POST", operation_ids[1], act, answers, body),
    ):
        operation(
            pages,
            method,
            path,
            operation_id=operation_id,
            summary=summary,
            guard=guard,
            answers=answered,
            body=sent,
            query=query,
            problems=problems,
        )(handler)


def show(template: str, **values: Any) -> Answer:
    """A page. `title` is its heading."""
    return Answer(200, render_template(template, **values))


def see_other(path: str, done: str | None = None, kept: Mapping[str, str] = MappingProxyType({})) -> Answer:
    """What a form that was taken answers with: the page that shows what came of it, with the filters that are `kept`."""
    return Answer(303, headers={"Location": address_of(path, {**kept, **({} if done is None else {"done": done})})})


def address_of(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path

"""What stands around every page of a site: navigation, the form's token, what an act did, and its own assets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import current_app, request
from werkzeug.datastructures import MultiDict

from auth.page_sessions.guards import CSRF_FIELD, visitor
from auth.page_sessions.pages import SENDS_ON, SitePages, Subject, see_other
from auth.page_sessions.session import PageSessions, Visitor
from auth.page_sessions.site import Site
from database.base import Clock
from security.api.operation import Answer, Anyone, operation
from security.api.request_bodies import FORM_FIELDS
from security.edge.problems import Problem
from security.edge.request_id import current_request_id
from security.pages.html_page import PageBlueprint

FORM_PROBLEM = "mirroros.form_problem"
"""In the request's environ: why the form that it sent was not taken."""
NEVER_SHOWN_AGAIN = frozenset({"password", "code", "passkey", CSRF_FIELD})


@dataclass(frozen=True)
class Entry:
    title: str
    href: str
    current: bool


@dataclass(frozen=True)
class Frame:
    """In templates: `frame`."""

    sessions: PageSessions
    subjects: Sequence[Subject]
    first: str
    """What the page at the site's root is called."""

    @property
    def site(self) -> Site:
        return self.sessions.site

    @property
    def visitor(self) -> Visitor | None:
        return visitor()

    @property
    def navigation(self) -> list[Entry]:
        """Those pages that this visitor may open."""
        shown = [(self.first, self.site.root)]
        admitted = visitor()
        if admitted is not None:
            mine = [each for each in self.subjects if admitted.principal.role.includes(each.role)]
            shown += [(each.title, f"{self.site.root}/{each.name}") for each in mine]
        return [Entry(title, href, self._leads_here(href)) for title, href in shown]

    def href_of(self, name: str) -> str | None:
        """The address of those pages, where they exist and this visitor may open them."""
        href = f"{self.site.root}/{name}"
        return href if any(entry.href == href for entry in self.navigation) else None

    def _leads_here(self, href: str) -> bool:
        return request.path == href or (href != self.site.root and request.path.startswith(f"{href}/"))

    @property
    def came_from_elsewhere(self) -> bool:
        """Whether a link of another site led here. The browser then sends no cookie, and does so at the next click."""
        return bool(request.environ.get("HTTP_SEC_FETCH_SITE") == "cross-site")

    @property
    def csrf_token(self) -> str:
        admitted = visitor()
        return "" if admitted is None else self.sessions.pages.csrf_token(admitted.principal.session_id)

    @property
    def done(self) -> str | None:
        """What the act that led here did, in words."""
        here = current_app.blueprints.get(request.blueprint or "")
        return here.done.get(request.args.get("done", "")) if isinstance(here, SitePages) else None

    @property
    def problem(self) -> Problem | None:
        """Why the form that this page shows was not taken."""
        problem: Problem | None = request.environ.get(FORM_PROBLEM)
        return problem

    @property
    def again(self) -> str | None:
        """When the form may be sent once more; None where waiting is no help, or the problem says it itself."""
        problem = self.problem
        seconds = None if problem is None else problem.headers.get("Retry-After")
        if problem is None or seconds is None or "Try again" in (problem.detail or ""):
            return None
        return f"Try again {ago(self.now + timedelta(seconds=int(seconds)), self.now)}"

    def typed(self, name: str) -> str | None:
        """What was typed into the field of a form that was not taken."""
        if self.problem is None or name in NEVER_SHOWN_AGAIN:
            return None
        text: str | None = request.environ.get(FORM_FIELDS, {}).get(name)
        return text

    def typed_all(self, name: str) -> list[str]:
        """The same of a field that the form has several times."""
        return [] if self.problem is None else request.environ.get(FORM_FIELDS, MultiDict()).getlist(name)

    def error_of(self, name: str) -> str | None:
        """What is wrong with the field, in words."""
        errors = [] if self.problem is None else self.problem.members.get("errors", [])
        return next((in_words(each) for each in errors if each["pointer"] == f"/{name}"), None)

    @property
    def request_id(self) -> str:
        return current_request_id()

    @property
    def now(self) -> datetime:
        return self.clock()

    @property
    def clock(self) -> Clock:
        return self.sessions.auth.clock

    def address_with(self, **changes: object) -> str:
        """Of this page, with these parameters in its query; None takes one away. What an act did is not said again."""
        query: dict[str, object] = {**request.args.to_dict(flat=False), "done": None, **changes}
        kept = {name: value for name, value in query.items() if value is not None}
        return f"{request.path}?{urlencode(kept, doseq=True)}" if kept else request.path


IN_WORDS = {
    "missing": "Fill in this field",
    "uuid_parsing": "This is not an ID",
    "extra_forbidden": "This form has no such field",
    "repeated": "Send this field only once",
    "enum": "Choose one of the list",
}


def in_words(error: dict[str, str]) -> str:
    return IN_WORDS.get(error["code"], error["message"])


class RootPages(SitePages):
    """The root of a site: the pages that belong to nobody else."""

    def __init__(self, site: Site, import_name: str) -> None:
        super().__init__(site, "frame", import_name)
        self.url_prefix = site.root

        @operation(
            self,
            "GET",
            "/",
            operation_id="with_slash",
            summary="Find the page at the root",
            guard=Anyone("it leads to the page, which asks for a sign-in"),
            answers=SENDS_ON,
        )
        def with_slash() -> Answer:
            return see_other(site.root)


class FrameOfPages(PageBlueprint):
    """What the pages of all sites are made of: one style sheet, scripts, and in templates `frame` and `frame_asset`.

    `currency`: of prices and of what is charged. In templates it is `billing_currency`.
    """

    def __init__(self, frames: Sequence[Frame], currency: str) -> None:
        super().__init__("site_frame", __name__, url_prefix="/site")

        @self.app_context_processor
        def around_every_page() -> dict[str, Any]:
            frame = next((each for each in frames if each.site.has(request.path)), None)
            if frame is None:
                return {}
            return {"frame": frame, "frame_asset": self.asset_address, "billing_currency": currency}

        self.add_app_template_filter(moment)
        self.add_app_template_filter(ago)
        self.add_app_template_filter(money)
        self.add_app_template_filter(micros)


def moment(at: datetime) -> str:
    """`2026-11-30 02:41 UTC`"""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


AGES = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def ago(at: datetime, now: datetime) -> str:
    """`3 minutes ago`, `in 2 hours`"""
    seconds = (now - at).total_seconds()
    length, unit = next((each for each in AGES if abs(seconds) >= each[0]), AGES[-1])
    count = int(abs(seconds) // length)
    if count == 0:
        return "just now"
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


MICROS_PER_CENT = 10_000
NO_MINOR_UNIT = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THOUSANDTHS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
"""As Stripe writes amounts (docs.stripe.com/currencies); it counts ISK and UGX in hundredths."""


def money(amount: int, currency: str) -> str:
    """Of minor units: `9.99 USD`"""
    code = currency.lower()
    digits = 0 if code in NO_MINOR_UNIT else 3 if code in THOUSANDTHS else 2
    return f"{amount / 10**digits:,.{digits}f} {currency.upper()}"


def micros(amount: int, currency: str) -> str:
    """Of millionths of the currency unit: `1.00 USD`, and `0.0125 USD` or `0.000012 USD` where it is no whole cent."""
    digits = 2 if amount % MICROS_PER_CENT == 0 else 4 if amount % 100 == 0 else 6
    return f"{amount / 1_000_000:,.{digits}f} {currency.upper()}"

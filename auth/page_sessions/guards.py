"""Who may open a page of a site. Every form is checked here for coming from a page of ours."""

from dataclasses import dataclass

from flask import request
from werkzeug.datastructures import MultiDict

from auth.middleware import FRESH_SECONDS, SAFE_METHODS, InsufficientRole
from auth.page_sessions.session import PageSessions, Visitor
from auth.principal import Principal, Role
from auth.problems import EmailNotVerified
from auth.rate_limits.by_address import AnyoneWithin
from auth.sessions.cookies import CsrfFailed
from security.api.multipart import Multipart
from security.api.request_bodies import FORM_FIELDS, form_fields
from security.edge.problems import DependencyUnavailable, Problem, Unauthorized

CSRF_FIELD = "csrf_token"
VISITOR = "mirroros.visitor"
"""In the request's environ: `flask.g` belongs to a thread of the web server, which serves one request after the other."""
CHALLENGE = "Session"
"""RFC 9110, 15.5.2, asks for one. No browser acts on a scheme that it does not know."""


class NotSignedIn(Unauthorized):
    error, title, challenge = "not_signed_in", "Sign in", CHALLENGE


class ProofTooOld(Unauthorized):
    """The visitor is signed in, but for this the proof must be fresh."""

    error, title, challenge = "insufficient_user_authentication", "Confirm it's you", CHALLENGE


class SecondFactorMissing(Problem):
    status, error, title = 403, "second_factor_setup_required", "Set up a second factor first"


FORM_NOT_OURS = "This form is no longer valid. Reload the page and try again"


@dataclass(frozen=True)
class SignedInToSite:
    """A visitor whose role includes `role`, as the account has it now.

    `fresh`: for what a stolen session must not do: password and second factor were given within the last five minutes. Put it
    on the page that shows the form as well as on the one that takes it. `polled`: a script asks by itself, which is no use of
    the session. `without_second_factor`: for setting one up. `uploads`: the body is a `FormWithFiles`, whose token stands in what
    is not read before a slot is in hand; here the browser says where it comes from. `metered`: the address must be confirmed, where
    the operator asks for that.
    """

    sessions: PageSessions
    role: Role
    fresh: bool = False
    polled: bool = False
    without_second_factor: bool = False
    uploads: bool = False
    metered: bool = False
    problems: tuple[type[Problem], ...] = (
        NotSignedIn,
        CsrfFailed,
        InsufficientRole,
        SecondFactorMissing,
        ProofTooOld,
        EmailNotVerified,
        DependencyUnavailable,
    )

    @property
    def scheme(self) -> str:
        return self.sessions.site.scheme

    def admit(self) -> Principal:
        visitor, site = self.sessions.visitor(counts_as_use=not self.polled), self.sessions.site
        if visitor is None:
            raise NotSignedIn
        caller = visitor.principal
        if request.method not in SAFE_METHODS:
            self._refuse_forms_of_others(caller)
        if not caller.role.includes(site.role):
            raise InsufficientRole(f"This account has no access to the {site.title.lower()}")
        request.environ[VISITOR] = visitor
        if not caller.role.includes(self.role):
            raise InsufficientRole(f"Only {self.role} accounts can do this")
        if site.asks_for_second_factor and not (visitor.factors.on or self.without_second_factor):
            raise SecondFactorMissing
        if self.metered and visitor.unverified:
            raise EmailNotVerified
        if self.fresh and (self.sessions.auth.clock() - visitor.auth_time).total_seconds() > FRESH_SECONDS:
            raise ProofTooOld
        return caller

    def _refuse_forms_of_others(self, caller: Principal) -> None:
        self.sessions.pages.refuse_other_pages()
        if visitor() is not None or (self.uploads and request.mimetype == Multipart.media_type):
            return  # the first: a form that is shown again is asked for once more within the request that was checked
        require_token(self.sessions, caller, form_fields().poplist(CSRF_FIELD))


def require_token(sessions: PageSessions, caller: Principal, sent: list[str]) -> None:
    """Raises CsrfFailed."""
    if len(sent) != 1 or not sessions.pages.is_csrf_token_of(caller.session_id, sent[0]):
        raise CsrfFailed(FORM_NOT_OURS)


@dataclass(frozen=True, kw_only=True)
class FormWithFiles(Multipart):
    """A form of a page that sends files, for an operation whose guard is made with `uploads=True`. Nothing is done with what it
    says before its token was checked.
    """

    sessions: PageSessions

    def look_at(self, texts: MultiDict[str, str]) -> None:
        admitted = visitor()
        if admitted is None:
            raise NotSignedIn
        require_token(self.sessions, admitted.principal, texts.poplist(CSRF_FIELD))
        request.environ[FORM_FIELDS] = texts


@dataclass(frozen=True)
class FromThisSite:
    """Guard of the forms that sign somebody in: nobody is signed in yet, so there is no token, but the browser says where a form
    comes from.
    """

    sessions: PageSessions
    within: AnyoneWithin
    scheme: str | None = None

    @property
    def because(self) -> str:
        return self.within.because

    @property
    def problems(self) -> tuple[type[Problem], ...]:
        return (CsrfFailed, *self.within.problems)

    def admit(self) -> None:
        self.sessions.pages.refuse_other_pages()
        self.within.admit()


def visitor() -> Visitor | None:
    """Whom a guard has let in to this page."""
    admitted: Visitor | None = request.environ.get(VISITOR)
    return admitted


@dataclass(frozen=True)
class PageGuards:
    """Makes the guards of a site's pages: `guards(Role.ADMIN, fresh=True)`."""

    sessions: PageSessions

    def __call__(
        self,
        role: Role | None = None,
        *,
        fresh: bool = False,
        polled: bool = False,
        uploads: bool = False,
        metered: bool = False,
    ) -> SignedInToSite:
        """`role`: the site's own by default."""
        return SignedInToSite(
            self.sessions, role or self.sessions.site.role, fresh, polled, uploads=uploads, metered=metered
        )

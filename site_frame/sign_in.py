"""Signing in to a site: password, then second factor, by the commands that the API uses, with their limits and events."""

from typing import Annotated
from urllib.parse import urlencode

from pydantic import Field

from auth.bodies import Email, Password, SignInBody
from auth.device import device
from auth.middleware import InsufficientRole
from auth.page_sessions.guards import FromThisSite, SignedInToSite
from auth.page_sessions.pages import GIVES_DATA, SENDS_ON, SHOWS, PageQuery, SitePages, show
from auth.page_sessions.session import PageSessions
from auth.page_sessions.site import SITES
from auth.passwords.sign_in import sign_in
from auth.principal import Principal
from auth.problems import AccountDisabled, InvalidCredentials
from auth.rate_limits.by_address import AnyoneWithin
from auth.second_factor.bodies import OptionsAnswer
from auth.second_factor.challenge import SecondFactorRequired
from auth.second_factor.factors import Method, read_factors
from auth.second_factor.finish import SignInChallengeNotValid, finish_sign_in, passkey_for_sign_in
from auth.second_factor.prove import SecondFactorRefused
from auth.sessions.end import end_session
from auth.sessions.open import SignedInUser
from security.api.answers import SeeOther
from security.api.models import FilledIn
from security.api.operation import Answer, Anyone, operation
from security.api.request_bodies import Form
from site_frame.second_factor_fields import SecondFactorFields

SIGN_IN = "/sign-in"
CODE = f"{SIGN_IN}/code"
SECOND_FACTOR = "/second-factor"

ROOTS = "|".join(site.root for site in SITES)
LeadsTo = Annotated[str, Field(max_length=2000, pattern=rf"^(?:{ROOTS})(?:[/?][!-\[\]-~]*)?$")]
"""A page of a site. Nothing else may be led to from a sign-in."""


class SignInForm(FilledIn):
    email: Email
    password: Password
    leads_to: LeadsTo | None = None


class CodeForm(SecondFactorFields):
    leads_to: LeadsTo | None = None


class CodeQuery(PageQuery):
    leads_to: LeadsTo | None = None
    passkey: bool = False
    """Whether the account has one."""


def sign_in_pages(routes: SitePages, sessions: PageSessions) -> None:
    site = sessions.site
    auth, limits = sessions.auth, sessions.auth.settings.limits

    second_step = FromThisSite(
        sessions,
        AnyoneWithin(
            "the challenge of the first factor is the credential",
            auth.address_limits,
            limits.second_factor,
            "second_factor",
        ),
    )

    def challenge() -> str:
        token = sessions.read_challenge()
        if token is None:
            raise SignInChallengeNotValid
        return token

    def admitted(signed_in: SignedInUser, leads_to: str | None) -> Answer:
        user, session_id = signed_in.profile, signed_in.tokens.session_id
        if not auth.states.of_session(user.id, session_id).role.includes(site.role):
            end_session(auth, user_id=user.id, session_id=session_id, reason="signed_out")
            raise InsufficientRole(f"This account has no access to the {site.title.lower()}")
        if site.asks_for_second_factor and not read_factors(user.id).on:
            leads_to = f"{site.root}{SECOND_FACTOR}"
        sessions.remember_device(signed_in.device_token)
        return Answer(303, headers={"Location": leads_to or site.root, "Set-Cookie": sessions.set_cookie(session_id)})

    @operation(
        routes,
        "GET",
        SIGN_IN,
        operation_id="sign_in_form",
        summary="Sign in",
        guard=Anyone("nobody is signed in yet"),
        answers=SHOWS,
    )
    def sign_in_form() -> Answer:
        return show("site_sign_in.html", title="Sign in", leads_to=site.root)

    @operation(
        routes,
        "POST",
        SIGN_IN,
        operation_id="sign_in",
        summary="Sign in with e-mail address and password",
        guard=FromThisSite(
            sessions,
            AnyoneWithin(
                "nobody is signed in yet", auth.address_limits, limits.sign_in, "sign_in", also=limits.sign_in_hourly
            ),
        ),
        body=Form(SignInForm),
        answers=SENDS_ON,
        problems=(InvalidCredentials, AccountDisabled, InsufficientRole),
    )
    def begin(body: SignInForm) -> Answer:
        try:
            known = SignInBody(email=body.email, password=body.password, device_token=sessions.device_token())
            signed_in = sign_in(auth, known, device(site.title))
        except SecondFactorRequired as required:
            cookie = sessions.set_challenge(required.members["challenge"])
            has_passkey = Method.PASSKEY in required.members["methods"]
            query = urlencode({"leads_to": body.leads_to or site.root, "passkey": str(has_passkey).lower()})
            return Answer(303, headers={"Location": f"{site.root}{CODE}?{query}", "Set-Cookie": cookie})
        return admitted(signed_in, body.leads_to)

    @operation(
        routes,
        "GET",
        CODE,
        operation_id="code_form",
        summary="Enter your code",
        guard=Anyone("nobody is signed in yet"),
        query=CodeQuery,
        answers=SHOWS,
    )
    def code_form(query: CodeQuery) -> Answer:
        return show("site_code.html", title="Enter your code", query=query)

    @operation(
        routes,
        "POST",
        CODE,
        operation_id="finish_sign_in",
        summary="Sign in with the second factor",
        guard=second_step,
        body=Form(CodeForm),
        answers=SENDS_ON,
        problems=(SignInChallengeNotValid, SecondFactorRefused, AccountDisabled, InsufficientRole),
    )
    def finish(body: CodeForm) -> Answer:
        return admitted(finish_sign_in(auth, challenge(), body.proof(), device(site.title)), body.leads_to)

    @operation(
        routes,
        "POST",
        f"{CODE}/passkey",
        operation_id="passkey_for_sign_in",
        summary="Read the options to use a passkey",
        guard=second_step,
        answers=GIVES_DATA,
        problems=(SignInChallengeNotValid,),
    )
    def passkey_options() -> Answer:
        return Answer(200, OptionsAnswer(options=passkey_for_sign_in(auth, challenge())))

    @operation(
        routes,
        "POST",
        "/sign-out",
        operation_id="sign_out",
        summary="Sign out",
        guard=SignedInToSite(sessions, site.role, without_second_factor=True),
        answers={303: SeeOther()},
    )
    def sign_out(caller: Principal) -> Answer:
        end_session(auth, user_id=caller.user_id, session_id=caller.session_id, reason="signed_out")
        return Answer(303, headers={"Location": f"{site.root}{SIGN_IN}", "Set-Cookie": sessions.clear_cookie()})

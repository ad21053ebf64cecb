"""Proving again who it is before an act that a stolen session must not do, and setting up the second factor to do it with."""

from dataclasses import replace

from auth.assembly import Auth
from auth.bodies import Password, SixDigits
from auth.page_sessions.guards import SignedInToSite
from auth.page_sessions.pages import GIVES_DATA, SENDS_ON, SHOWS, SitePages, see_other, show
from auth.page_sessions.session import PageSessions
from auth.passwords.change import prove_password, reauthenticate
from auth.principal import Principal
from auth.problems import InvalidCredentials
from auth.second_factor.bodies import OptionsAnswer
from auth.second_factor.factors import SecondFactorOff, read_factors
from auth.second_factor.prove import SecondFactorRefused
from auth.second_factor.reauthenticate import passkey_to_reauthenticate, reauthenticate_by_second_factor
from auth.second_factor.totp import TotpAlreadyOn, TotpNotConfirmed, confirm_totp, set_up_totp
from security.api.models import FilledIn
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.client_address import client_address
from security.edge.problems import TooManyRequests, ValidationFailed
from site_frame.second_factor_fields import SecondFactorFields
from site_frame.sign_in import SECOND_FACTOR, LeadsTo


class ProofForm(SecondFactorFields):
    password: Password
    leads_to: LeadsTo | None = None


class ConfirmAppForm(FilledIn):
    code: SixDigits


def proof_pages(routes: SitePages, sessions: PageSessions) -> None:
    site, auth = sessions.site, sessions.auth
    signed_in = SignedInToSite(sessions, site.role, without_second_factor=True)

    @operation(
        routes,
        "GET",
        "/confirm-identity",
        operation_id="proof_form",
        summary="Confirm it's you",
        guard=signed_in,
        answers=SHOWS,
    )
    def proof_form(caller: Principal) -> Answer:
        return show("site_step_up.html", title="Confirm it's you", leads_to=site.root)

    @operation(
        routes,
        "POST",
        "/confirm-identity",
        operation_id="prove_identity",
        summary="Confirm it's you",
        guard=signed_in,
        body=Form(ProofForm),
        answers=SENDS_ON,
        problems=(InvalidCredentials, SecondFactorRefused, TooManyRequests, ValidationFailed),
    )
    def prove(caller: Principal, body: ProofForm) -> Answer:
        """Leads back to the form. The act is not done by this."""
        auth.address_limits.count(auth.settings.limits.sign_in, "sign_in", client_address())
        prove_identity(auth, caller, body)
        return see_other(body.leads_to or site.root)

    @operation(
        routes,
        "POST",
        "/confirm-identity/passkey",
        operation_id="passkey_to_prove_identity",
        summary="Read the options to use a passkey",
        guard=signed_in,
        answers=GIVES_DATA,
        problems=(SecondFactorOff,),
    )
    def passkey_options(caller: Principal) -> Answer:
        return Answer(200, OptionsAnswer(options=passkey_to_reauthenticate(auth, caller)))

    @operation(
        routes,
        "GET",
        SECOND_FACTOR,
        operation_id="second_factor_form",
        summary="Set up your second factor",
        guard=replace(signed_in, fresh=True),
        answers=SHOWS,
        problems=(TotpAlreadyOn,),
    )
    def second_factor_form(caller: Principal) -> Answer:
        setup = set_up_totp(auth, caller, resume=True)
        return show("site_second_factor.html", title="Set up your second factor", setup=setup)

    @operation(
        routes,
        "POST",
        SECOND_FACTOR,
        operation_id="set_up_second_factor",
        summary="Turn on your second factor",
        guard=replace(signed_in, fresh=True),
        body=Form(ConfirmAppForm),
        answers=SHOWS,
        problems=(TotpNotConfirmed,),
    )
    def set_up(caller: Principal, body: ConfirmAppForm) -> Answer:
        codes = confirm_totp(auth, caller, body.code)
        return show("site_recovery_codes.html", title="Your second factor is on", codes=codes)


def prove_identity(auth: Auth, caller: Principal, given: ProofForm) -> None:
    """Both factors, where there are two. Raises InvalidCredentials, SecondFactorRefused, TooManyRequests, ValidationFailed."""
    if not read_factors(caller.user_id).on:
        reauthenticate(auth, caller, given.password)
        return
    proof = given.proof()
    prove_password(auth, caller, given.password)
    reauthenticate_by_second_factor(auth, caller, proof)

"""Proving again who it is before an act that a stolen session must not do, and setting up the second factor to do it with."""

from dataclasses import replace

from admin.sign_in import SECOND_FACTOR, LeadsTo, proof_of
from auth.assembly import Auth
from auth.bodies import Password, SixDigits
from auth.passwords.change import prove_password, reauthenticate
from auth.principal import Principal
from auth.problems import InvalidCredentials
from auth.second_factor.bodies import TypedCode
from auth.second_factor.factors import read_factors
from auth.second_factor.prove import SecondFactorRefused
from auth.second_factor.reauthenticate import reauthenticate_by_second_factor
from auth.second_factor.totp import TotpAlreadyOn, TotpNotConfirmed, confirm_totp, set_up_totp
from auth.staff.guards import StaffSignedIn
from auth.staff.pages import ADMIN, SENDS_ON, SHOWS, StaffPages, see_other, show
from auth.staff.session import StaffSessions
from security.api.models import FilledIn
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.client_address import client_address
from security.edge.problems import TooManyRequests, ValidationFailed, field_error


class ProofForm(FilledIn):
    password: Password
    code: TypedCode | None = None
    leads_to: LeadsTo = ADMIN


class ConfirmAppForm(FilledIn):
    code: SixDigits


def proof_pages(routes: StaffPages, sessions: StaffSessions) -> None:
    auth = sessions.auth
    signed_in = StaffSignedIn(sessions, without_second_factor=True)

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
        return show("admin_step_up.html", title="Confirm it's you", leads_to=ADMIN)

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
        prove_identity(auth, caller, body.password, body.code)
        return see_other(body.leads_to)

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
        return show("admin_second_factor.html", title="Set up your second factor", setup=setup)

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
        return show("admin_recovery_codes.html", title="Your second factor is on", codes=codes)


def prove_identity(auth: Auth, caller: Principal, password: str, code: str | None) -> None:
    """Both factors, where there are two. Raises InvalidCredentials, SecondFactorRefused, TooManyRequests, ValidationFailed."""
    if not read_factors(caller.user_id).on:
        reauthenticate(auth, caller, password)
        return
    if code is None:
        raise ValidationFailed([field_error(["code"], "missing", "Field required")])
    prove_password(auth, caller, password)
    reauthenticate_by_second_factor(auth, caller, proof_of(code))

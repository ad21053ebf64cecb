"""`/api/auth`: register, sign in, refresh, sign out, and the own profile."""

import re

from flask import Blueprint, request

from auth.address_limits import AnyoneWithin
from auth.assembly import Auth
from auth.bodies import (
    CheckEmailAnswer,
    ProfileAnswer,
    RefreshBody,
    RegisterBody,
    SignedInAnswer,
    SignInBody,
    SignOutBody,
    TokensAnswer,
    profile_answer,
)
from auth.email_address import parse_email
from auth.give_tokens import answer_signed_in, answer_tokens
from auth.open_session import Device
from auth.password_policy import PasswordBreached, PasswordRefused, PasswordTooWeak
from auth.password_work import PasswordWorkBusy
from auth.principal import Principal
from auth.read_profile import read_profile
from auth.redeem_invite import registration_problems
from auth.register import EmailTaken, register, register_privately
from auth.rotate_session import RefreshTokenNotValid, rotate_session
from auth.second_factor.ask_second_factor import SecondFactorRequired
from auth.sign_in import AccountDisabled, InvalidCredentials, sign_in
from auth.sign_out import sign_out_by_refresh_token, sign_out_session
from security.client_address import client_address
from security.operation import Answer, operation
from security.problems import MalformedRequest

IDEMPOTENCY_KEY_FORM = re.compile(r"[\x21-\x7e]{1,255}")


def auth_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("auth", __name__, url_prefix="/api/auth")
    limits = auth.settings.limits
    private = auth.settings.registration_response == "private"

    @operation(
        routes,
        "POST",
        "/register",
        summary="Create an account",
        guard=AnyoneWithin(
            "an account begins here", auth.address_limits, limits.register, "register", also=limits.register_daily
        ),
        body=RegisterBody,
        answers={202: CheckEmailAnswer} if private else {201: SignedInAnswer},
        problems=(PasswordRefused, PasswordBreached, PasswordTooWeak, PasswordWorkBusy)
        + registration_problems(auth)
        + (() if private else (EmailTaken,)),
    )
    def register_account(body: RegisterBody) -> Answer:
        """Where registrations are private, the answer is 202 whether or not the address has an account already."""
        email = parse_email(body.email)
        if private:
            register_privately(auth, email, body.password, body.invite_code)
            return Answer(202, CheckEmailAnswer())
        return answer_signed_in(register(auth, email, body.password, device(), body.invite_code), status=201)

    @operation(
        routes,
        "POST",
        "/login",
        summary="Sign in with e-mail address and password",
        guard=AnyoneWithin(
            "nobody is signed in yet", auth.address_limits, limits.sign_in, "sign_in", also=limits.sign_in_hourly
        ),
        body=SignInBody,
        answers={200: SignedInAnswer},
        problems=(InvalidCredentials, SecondFactorRequired, AccountDisabled, PasswordWorkBusy),
    )
    def login(body: SignInBody) -> Answer:
        """`remember_me` lets the session live 30 days without use and 90 in all, instead of one day and seven.

        After five tries in a row an account makes strangers wait. A device that keeps its `device_token` from an earlier
        sign-in and sends it has tries of its own.

        An account with a second factor answers `mfa_required` with a `challenge`, good for five minutes and five tries, and
        with the `methods` that it has. `POST /api/auth/login/second-factor` takes both factors together to tokens.
        """
        email = parse_email(body.email)
        signed_in = sign_in(
            auth,
            email,
            body.password,
            remember=body.remember_me,
            device=device(),
            device_token=body.device_token,
        )
        return answer_signed_in(signed_in)

    @operation(
        routes,
        "POST",
        "/refresh",
        summary="Trade a refresh token for new tokens",
        guard=AnyoneWithin("the refresh token is the credential", auth.address_limits, limits.refresh, "refresh"),
        body=RefreshBody,
        answers={200: TokensAnswer},
        problems=(RefreshTokenNotValid, MalformedRequest),
        accepts_idempotency_key=True,
    )
    def refresh(body: RefreshBody) -> Answer:
        """A refresh token works once. Store an Idempotency-Key before sending it: with the same key the request can be
        repeated when the answer was lost. Using a spent token in any other way ends the session.
        """
        return answer_tokens(rotate_session(auth, body.refresh_token, idempotency_key()))

    @operation(
        routes,
        "POST",
        "/logout",
        summary="Sign out",
        guard=AnyoneWithin("either token may say which session ends", auth.address_limits, limits.refresh, "logout"),
        body=SignOutBody,
        body_optional=True,
        answers={204: None},
        problems=auth.signed_in.problems,
    )
    def logout(body: SignOutBody | None) -> Answer:
        """Ends the session of the refresh token in the body, else that of the access token in the header. Can be repeated."""
        if body is not None and body.refresh_token is not None:
            sign_out_by_refresh_token(auth, body.refresh_token)
        else:
            sign_out_session(auth, auth.signed_in.claims().session_id)
        return Answer(204)

    @operation(
        routes,
        "GET",
        "/profile",
        summary="The own account",
        guard=auth.signed_in,
        answers={200: ProfileAnswer},
    )
    def profile(caller: Principal) -> Answer:
        return Answer(200, profile_answer(read_profile(auth, caller.user_id), caller))

    return routes


def device() -> Device:
    return Device(user_agent=request.environ.get("HTTP_USER_AGENT"), ip=client_address())


def idempotency_key() -> str | None:
    """Raises MalformedRequest for a key that is not 1 to 255 visible ASCII characters."""
    key: str | None = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and IDEMPOTENCY_KEY_FORM.fullmatch(key) is None:
        raise MalformedRequest("An Idempotency-Key is 1 to 255 visible ASCII characters")
    return key

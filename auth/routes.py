"""`/api/auth`: register, sign in, refresh, sign out."""

import re

from flask import Blueprint, request

from auth.accounts.register import register, register_privately
from auth.assembly import Auth
from auth.bodies import (
    CheckEmailAnswer,
    CsrfTokenAnswer,
    RefreshBody,
    RegisterBody,
    SignedInAnswer,
    SignInBody,
    SignOutBody,
    TokensAnswer,
)
from auth.device import device
from auth.email_address import parse_email
from auth.invites.redeem import registration_problems
from auth.middleware import bearer_token
from auth.password_hashing.policy import PasswordBreached, PasswordRefused, PasswordTooWeak
from auth.password_hashing.worker_pool import PasswordWorkBusy
from auth.passwords.sign_in import sign_in
from auth.problems import AccountClosing, AccountDisabled, EmailTaken, InvalidCredentials
from auth.rate_limits.by_address import AnyoneWithin
from auth.second_factor.challenge import SecondFactorRequired
from auth.sessions.cookies import CsrfFailed
from auth.sessions.csrf_token import give_csrf_token
from auth.sessions.refresh import RefreshTokenNotValid, rotate_session
from auth.sessions.sign_out import sign_out_by_refresh_token, sign_out_session
from auth.token_answers import SET_COOKIE, answer_signed_in, answer_tokens
from security.api.operation import Answer, operation
from security.api.request_bodies import Json
from security.edge.client_address import client_address
from security.edge.problems import MalformedRequest

IDEMPOTENCY_KEY_FORM = re.compile(r"[\x21-\x7e]{1,255}")


def auth_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("auth", __name__, url_prefix="/api/auth")
    _declare_registration(routes, auth)
    _declare_sign_in(routes, auth)
    _declare_refresh(routes, auth)
    _declare_sign_out(routes, auth)
    return routes


def _declare_registration(routes: Blueprint, auth: Auth) -> None:
    limits = auth.settings.limits
    private = auth.settings.registration_response == "private"

    @operation(
        routes,
        "POST",
        "/register",
        operation_id="registerAccount",
        summary="Create an account",
        guard=AnyoneWithin(
            "an account begins here", auth.address_limits, limits.register, "register", also=limits.register_daily
        ),
        body=RegisterBody,
        answers={201: SignedInAnswer, 202: CheckEmailAnswer},
        problems=(
            PasswordRefused,
            PasswordBreached,
            PasswordTooWeak,
            PasswordWorkBusy,
            EmailTaken,
            CsrfFailed,
            *registration_problems(auth),
        ),
        answer_headers=SET_COOKIE,
        credentials=True,
    )
    def register_account(body: RegisterBody) -> Answer:
        """Answers 201 with tokens where `REGISTRATION_RESPONSE` is `classic`, the default in development.

        Where it is `private`, the default everywhere else, the answer is 202 without tokens, whether or not the address has
        an account already, and an e-mail says how to go on. 409 `email_taken` is of `classic` alone.
        """
        email = parse_email(body.email)
        if private:
            register_privately(auth, email, body.password, body.invite_code)
            return Answer(202, CheckEmailAnswer())
        cookies = auth.cookies.wanted(body.token_delivery)
        return answer_signed_in(
            register(auth, email, body.password, device(body.device_name), body.invite_code),
            status=201,
            cookies=cookies,
        )


def _declare_sign_in(routes: Blueprint, auth: Auth) -> None:
    limits = auth.settings.limits

    @operation(
        routes,
        "POST",
        "/login",
        operation_id="signIn",
        summary="Sign in with e-mail address and password",
        guard=AnyoneWithin(
            "nobody is signed in yet", auth.address_limits, limits.sign_in, "sign_in", also=limits.sign_in_hourly
        ),
        body=SignInBody,
        answers={200: SignedInAnswer},
        problems=(
            InvalidCredentials,
            SecondFactorRequired,
            AccountDisabled,
            AccountClosing,
            PasswordWorkBusy,
            CsrfFailed,
        ),
        answer_headers=SET_COOKIE,
        credentials=True,
    )
    def login(body: SignInBody) -> Answer:
        """With `remember_me` the session lives for 30 days without use and 90 days in all, otherwise for one day and seven.

        After five wrong tries in a row an account makes strangers wait. A device that keeps the `device_token` of an earlier
        sign-in and sends it has tries of its own.

        An account with a second factor answers 401 `mfa_required` with a `challenge`, good for five minutes and five tries,
        and the `methods` that it has. Finish with `POST /api/auth/login/second-factor`.
        """
        email = parse_email(body.email)
        cookies = auth.cookies.wanted(body.token_delivery)
        signed_in = sign_in(
            auth,
            email,
            body.password,
            remember=body.remember_me,
            device=device(body.device_name),
            device_token=body.device_token,
        )
        return answer_signed_in(signed_in, cookies=cookies)


def _declare_refresh(routes: Blueprint, auth: Auth) -> None:
    limits = auth.settings.limits

    @operation(
        routes,
        "POST",
        "/refresh",
        operation_id="refreshTokens",
        summary="Trade a refresh token for new tokens",
        guard=AnyoneWithin("the refresh token is the credential", auth.address_limits, limits.refresh, "refresh"),
        body=RefreshBody,
        answers={200: TokensAnswer},
        problems=(RefreshTokenNotValid, MalformedRequest, CsrfFailed),
        accepts_idempotency_key=True,
        answer_headers=SET_COOKIE,
        credentials=True,
    )
    def refresh(body: RefreshBody) -> Answer:
        """A refresh token works once. Store an Idempotency-Key before sending it: with the same key the request can be
        repeated when the answer was lost. Using a spent token in any other way ends the session.

        A web app sends `{}` with its cookie and the X-CSRF-Token, and gets a new cookie and a new CSRF token.
        """
        token, cookies = body.refresh_token, None
        if token is None:
            token, cookies = auth.cookies.take(), auth.cookies
        if token is None:
            raise RefreshTokenNotValid
        return answer_tokens(rotate_session(auth, token, idempotency_key(), client_address()), cookies=cookies)

    @operation(
        routes,
        "GET",
        "/csrf-token",
        operation_id="getCsrfToken",
        summary="Get the CSRF token of the cookie",
        guard=AnyoneWithin("the cookie is the credential", auth.address_limits, limits.refresh, "csrf_token"),
        answers={200: CsrfTokenAnswer},
        problems=(RefreshTokenNotValid, CsrfFailed),
        credentials=True,
    )
    def csrf_token() -> Answer:
        """For a web page that was loaded anew: it sends its cookie, and can then refresh."""
        token = auth.cookies.look()
        if token is None:
            raise RefreshTokenNotValid
        return Answer(200, CsrfTokenAnswer(csrf_token=give_csrf_token(auth, token)))


def _declare_sign_out(routes: Blueprint, auth: Auth) -> None:
    limits = auth.settings.limits

    @operation(
        routes,
        "POST",
        "/logout",
        operation_id="signOut",
        summary="Sign out",
        guard=AnyoneWithin("either token may say which session ends", auth.address_limits, limits.refresh, "logout"),
        body=Json(SignOutBody, optional=True),
        answers={204: None},
        problems=(*auth.signed_in.problems, CsrfFailed),
        answer_headers={"Set-Cookie": "Removes the cookie that said which session ends."},
        credentials=True,
    )
    def logout(body: SignOutBody | None) -> Answer:
        """Ends the session of the refresh token in the body, else that of the access token in the header, else that of the
        cookie, which needs the X-CSRF-Token and the content type application/json. Can be repeated.
        """
        if body is not None and body.refresh_token is not None:
            sign_out_by_refresh_token(auth, body.refresh_token)
        elif bearer_token() is None and (token := auth.cookies.take()) is not None:
            sign_out_by_refresh_token(auth, token)
            return Answer(204, headers={"Set-Cookie": auth.cookies.cleared()})
        else:
            sign_out_session(auth, auth.signed_in.claims().session_id)
        return Answer(204)


def idempotency_key() -> str | None:
    """Raises MalformedRequest for a key that is not 1 to 255 visible ASCII characters."""
    key: str | None = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and IDEMPOTENCY_KEY_FORM.fullmatch(key) is None:
        raise MalformedRequest("An Idempotency-Key is 1 to 255 visible ASCII characters")
    return key

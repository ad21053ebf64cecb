"""`/api/auth`: register, sign in, refresh, sign out."""

from functools import partial

from flask import Blueprint

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
from auth.invites.redeem import registration_problems
from auth.middleware import bearer_token
from auth.password_hashing.policy import NEW_PASSWORD_PROBLEMS
from auth.password_hashing.worker_pool import PasswordWorkBusy
from auth.passwords.sign_in import sign_in
from auth.problems import AccountClosing, AccountDisabled, EmailTaken, InvalidCredentials, UsernameTaken
from auth.rate_limits.by_address import AnyoneWithin
from auth.second_factor.challenge import SecondFactorRequired
from auth.sessions.cookies import CsrfFailed, csrf_token_for
from auth.sessions.end import sign_out_by_refresh_token, sign_out_session
from auth.sessions.refresh import refresh_session
from auth.token_answers import SET_COOKIE, answer_signed_in, answer_tokens
from auth.tokens.refresh_token import RefreshTokenNotValid
from security.api.operation import Answer, operation
from security.api.request_bodies import Json
from security.edge.client_address import client_address


def auth_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("auth", __name__, url_prefix="/api/auth")
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
            *NEW_PASSWORD_PROBLEMS,
            EmailTaken,
            UsernameTaken,
            CsrfFailed,
            *registration_problems(auth),
        ),
        answer_headers=SET_COOKIE,
        credentials=True,
    )
    def register_account(body: RegisterBody) -> Answer:
        """Returns 201 with tokens if `REGISTRATION_RESPONSE` is `classic`, the default in development.

        If it is `private`, the default everywhere else, the response is always 202 without tokens, so that nobody can find out
        who has an account, and an e-mail says what to do next. Only `classic` returns 409 `email_taken` or `username_taken`;
        with `private`, an account whose `username` is taken has none until its owner chooses one.
        """
        if private:
            register_privately(auth, body)
            return Answer(202, CheckEmailAnswer())
        return answer_signed_in(auth.cookies, body, partial(register, auth, body), status=201)

    @operation(
        routes,
        "POST",
        "/login",
        operation_id="signIn",
        summary="Sign in with an e-mail address and a password",
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
        """With `remember_me` the session ends after 30 days without use and after 90 days at most, otherwise after 60 minutes and
        7 days. The operator may have changed the times without use.

        After 5 wrong passwords within 5 minutes you have to wait. A device that sends the `device_token` of an earlier sign-in
        has its own tries.

        If the account has a second factor, the response is 401 `mfa_required` with a `challenge`, valid for 5 minutes and
        5 tries, and the available `methods`. Finish with `POST /api/auth/login/second-factor`.
        """
        return answer_signed_in(auth.cookies, body, partial(sign_in, auth, body))

    @operation(
        routes,
        "POST",
        "/refresh",
        operation_id="refreshTokens",
        summary="Refresh your tokens",
        guard=AnyoneWithin("the refresh token is the credential", auth.address_limits, limits.refresh, "refresh"),
        body=RefreshBody,
        answers={200: TokensAnswer},
        problems=(RefreshTokenNotValid, CsrfFailed),
        accepts_idempotency_key=True,
        answer_headers=SET_COOKIE,
        credentials=True,
    )
    def refresh(body: RefreshBody, idempotency_key: str | None) -> Answer:
        """A refresh token works once. Store an `Idempotency-Key` before you send it, so that you can repeat the request with the same
        key if you get no response. Using an old token in any other way ends the session.

        A web app sends `{}` with its cookie and `X-CSRF-Token`, and gets a new cookie and a new CSRF token.
        """
        token, cookies = body.refresh_token, None
        if token is None:
            token, cookies = auth.cookies.read_with_csrf_token(), auth.cookies
        if token is None:
            raise RefreshTokenNotValid
        return answer_tokens(refresh_session(auth, token, idempotency_key, client_address()), cookies=cookies)

    @operation(
        routes,
        "GET",
        "/csrf-token",
        operation_id="getCsrfToken",
        summary="Get a CSRF token",
        guard=AnyoneWithin("the cookie is the credential", auth.address_limits, limits.refresh, "csrf_token"),
        answers={200: CsrfTokenAnswer},
        problems=(RefreshTokenNotValid, CsrfFailed),
        credentials=True,
    )
    def csrf_token() -> Answer:
        """For a web page that was reloaded: send the cookie, then refresh with the token that you get."""
        token = auth.cookies.read()
        if token is None:
            raise RefreshTokenNotValid
        return Answer(200, CsrfTokenAnswer(csrf_token=csrf_token_for(auth.cookies, auth.refresh_tokens, token)))

    @operation(
        routes,
        "POST",
        "/logout",
        operation_id="signOut",
        summary="Sign out",
        guard=AnyoneWithin("either token may say which session ends", auth.address_limits, limits.refresh, "logout"),
        body=Json(SignOutBody, optional=True),
        problems=(*auth.signed_in.problems, CsrfFailed),
        answer_headers={"Set-Cookie": "Removes the refresh token cookie."},
        credentials=True,
    )
    def logout(body: SignOutBody | None) -> Answer:
        """Ends the session of the refresh token in the body, of the access token in the header, or of the cookie, in this order.
        The cookie needs `X-CSRF-Token` and the content type application/json. You can repeat the request.
        """
        if body is not None and body.refresh_token is not None:
            sign_out_by_refresh_token(auth, body.refresh_token)
        elif bearer_token() is None and (token := auth.cookies.read_with_csrf_token()) is not None:
            sign_out_by_refresh_token(auth, token)
            return Answer(204, headers={"Set-Cookie": auth.cookies.clear_cookie()})
        else:
            sign_out_session(auth, auth.signed_in.claims_of(bearer_token()).session_id)
        return Answer(204)

    return routes

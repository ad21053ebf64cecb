"""`/api/auth/reauthenticate` and `/api/auth/password/change`: with the password that the account has."""

from typing import Literal

from flask import Blueprint

from auth.assembly import Auth
from auth.bodies import Password
from auth.password_hashing.policy import PasswordBreached, PasswordRefused, PasswordTooWeak
from auth.password_hashing.worker_pool import PasswordWorkBusy
from auth.passwords.change import PasswordNotEnough, change_password, reauthenticate
from auth.principal import Principal
from auth.problems import InvalidCredentials
from security.api.operation import Answer, AnswerBody, Body, operation
from security.edge.client_address import client_address
from security.edge.problems import TooManyRequests


class ReauthenticateBody(Body):
    password: Password


class FreshTokenAnswer(AnswerBody):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    """Seconds that the access token lives."""


class ChangePasswordBody(Body):
    current_password: Password
    new_password: Password


def own_password_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("own_password", __name__, url_prefix="/api/auth")

    def count_address() -> None:
        auth.address_limits.count(auth.settings.limits.sign_in, "sign_in", client_address())

    @operation(
        routes,
        "POST",
        "/reauthenticate",
        operation_id="reauthenticate",
        summary="Enter your password again",
        guard=auth.signed_in,
        body=ReauthenticateBody,
        answers={200: FreshTokenAnswer},
        problems=(InvalidCredentials, PasswordNotEnough, TooManyRequests, PasswordWorkBusy),
    )
    def prove_again(caller: Principal, body: ReauthenticateBody) -> Answer:
        """Answers an access token of the same session which, for five minutes, may do what needs a recent sign-in. An account
        with a second factor uses `POST /api/auth/reauthenticate/second-factor` instead.
        """
        count_address()
        token = reauthenticate(auth, caller, body.password)
        return Answer(200, FreshTokenAnswer(access_token=token.text, expires_in=token.expires_in))

    @operation(
        routes,
        "POST",
        "/password/change",
        operation_id="changePassword",
        summary="Change your password",
        guard=auth.signed_in,
        body=ChangePasswordBody,
        answers={204: None},
        problems=(
            PasswordRefused,
            PasswordBreached,
            PasswordTooWeak,
            InvalidCredentials,
            TooManyRequests,
            PasswordWorkBusy,
        ),
    )
    def change(caller: Principal, body: ChangePasswordBody) -> Answer:
        """Ends every other session, and the owner is told by e-mail."""
        count_address()
        change_password(auth, caller, body.current_password, body.new_password)
        return Answer(204)

    return routes

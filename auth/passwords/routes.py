"""`/api/auth/reauthenticate` and `/api/auth/password/change`: what needs the current password."""

from flask import Blueprint

from auth.assembly import Auth
from auth.bodies import Password
from auth.password_hashing.policy import NEW_PASSWORD_PROBLEMS
from auth.password_hashing.worker_pool import PasswordWorkBusy
from auth.passwords.change import PasswordNotEnough, change_password, reauthenticate
from auth.principal import Principal
from auth.problems import InvalidCredentials
from auth.second_factor.bodies import AccessTokenAnswer
from security.api.models import Body
from security.api.operation import Answer, operation
from security.edge.client_address import client_address
from security.edge.problems import TooManyRequests


class ReauthenticateBody(Body):
    password: Password


class FreshTokenAnswer(AccessTokenAnswer):
    pass


class ChangePasswordBody(Body):
    current_password: Password
    new_password: Password


def password_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("passwords", __name__, url_prefix="/api/auth")

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
        """Step-up authentication: returns an access token of the same session that can do what needs a recent sign-in for the next
        5 minutes. An account with a second factor uses `POST /api/auth/reauthenticate/second-factor` instead.
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
        problems=(*NEW_PASSWORD_PROBLEMS, InvalidCredentials, TooManyRequests),
    )
    def change(caller: Principal, body: ChangePasswordBody) -> None:
        """Signs out every other device. We tell you by e-mail."""
        count_address()
        change_password(auth, caller, body.current_password, body.new_password)

    return routes

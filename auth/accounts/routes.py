"""`/api/auth/profile`: the caller's account, its name, closing and restoring it."""

from datetime import datetime
from typing import Literal

from flask import Blueprint

from auth.accounts.close import AccountNotClosing, close_account, restore_account
from auth.assembly import Auth
from auth.bodies import Email, Name, Password, ProfileAnswer, UserAnswer, profile_answer, user_answer
from auth.email_address import parse_email
from auth.password_hashing.worker_pool import PasswordWorkBusy
from auth.principal import Principal
from auth.problems import AccountDisabled, InvalidCredentials
from auth.profile import change_display_name, read_profile
from auth.rate_limits.by_address import AnyoneWithin
from security.api.operation import Answer, AnswerBody, Body, operation


class ChangeProfileBody(Body):
    display_name: Name | None = None
    """Null removes the name."""


class RestoreBody(Body):
    email: Email
    password: Password


class ClosedAnswer(AnswerBody):
    status: Literal["closed"] = "closed"
    delete_after: datetime
    """You can restore the account until then."""
    cancel_yourself: list[str]
    """Where you must cancel what you pay for yourself, such as `apple`."""


def profile_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("profile", __name__, url_prefix="/api/auth/profile")

    @operation(
        routes,
        "GET",
        "",
        operation_id="getProfile",
        summary="Get your account",
        guard=auth.signed_in,
        answers={200: ProfileAnswer},
    )
    def profile(caller: Principal) -> Answer:
        """Returns your e-mail address, your display name and your current tier."""
        return Answer(200, profile_answer(read_profile(caller.user_id, auth.clock()), caller))

    @operation(
        routes,
        "PATCH",
        "",
        operation_id="updateProfile",
        summary="Change your account",
        guard=auth.signed_in,
        body=ChangeProfileBody,
        answers={200: UserAnswer},
    )
    def change(caller: Principal, body: ChangeProfileBody) -> Answer:
        """Changes the fields that you send. The others stay the same."""
        if "display_name" not in body.model_fields_set:
            return Answer(200, user_answer(read_profile(caller.user_id, auth.clock())))
        return Answer(200, user_answer(change_display_name(caller.user_id, body.display_name, auth.clock())))

    @operation(
        routes,
        "DELETE",
        "",
        operation_id="closeAccount",
        summary="Close your account",
        guard=auth.recently_signed_in,
        answers={200: ClosedAnswer},
    )
    def close(caller: Principal) -> Answer:
        """Ends every session and API key at once. Subscriptions bought on the web do not renew. The account is deleted after
        `ACCOUNT_DELETION_GRACE_DAYS`. You can restore it until then, and nobody else can register its e-mail address.
        """
        closed = close_account(auth, caller.user_id, caller.session_id)
        return Answer(200, ClosedAnswer(delete_after=closed.delete_after, cancel_yourself=list(closed.cancel_yourself)))

    @operation(
        routes,
        "POST",
        "/restore",
        operation_id="restoreAccount",
        summary="Restore a closed account",
        guard=AnyoneWithin(
            "nobody can sign in to a closed account", auth.address_limits, auth.settings.limits.sign_in, "sign_in"
        ),
        body=RestoreBody,
        answers={204: None},
        problems=(InvalidCredentials, AccountDisabled, AccountNotClosing, PasswordWorkBusy),
    )
    def restore(body: RestoreBody) -> Answer:
        """Works until `delete_after`. Sign in afterwards. Subscriptions that ended stay ended."""
        restore_account(auth, parse_email(body.email), body.password)
        return Answer(204)

    return routes

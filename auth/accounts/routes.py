"""`/api/auth/profile`: the own account, its name, closing it and having it back."""

from datetime import datetime
from typing import Annotated, Literal

from flask import Blueprint
from pydantic import Field

from auth.accounts.close import AccountNotClosing, close_account, restore_account
from auth.assembly import Auth
from auth.bodies import Email, Password, ProfileAnswer, UserAnswer, profile_answer, user_answer
from auth.change_profile import change_display_name
from auth.email_address import parse_email
from auth.password_hashing.worker_pool import PasswordWorkBusy
from auth.principal import Principal
from auth.problems import AccountDisabled, InvalidCredentials
from auth.rate_limits.by_address import AnyoneWithin
from auth.read_profile import read_profile
from security.api.operation import Answer, AnswerBody, Body, operation
from security.api.typed_text import ONE_LINE, trims

DisplayName = Annotated[str, Field(max_length=80, pattern=ONE_LINE, examples=["Alice"]), trims(80)]


class ChangeProfileBody(Body):
    display_name: DisplayName | None = None
    """Null takes the name away. What is not sent stays as it is."""


class RestoreBody(Body):
    email: Email
    password: Password


class ClosedAnswer(AnswerBody):
    status: Literal["closed"] = "closed"
    delete_after: datetime
    """Until then the account can be restored."""
    cancel_yourself: list[str]
    """Where the user pays for something that only the user can end, such as "apple"."""


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
        """The address, the name, and the tier that counts now."""
        return Answer(200, profile_answer(read_profile(auth, caller.user_id), caller))

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
        """What is not sent stays as it is."""
        if "display_name" not in body.model_fields_set:
            return Answer(200, user_answer(read_profile(auth, caller.user_id)))
        return Answer(200, user_answer(change_display_name(auth, caller.user_id, body.display_name)))

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
        """Every session and API key stops at once, and subscriptions are ended. The account is deleted after
        `ACCOUNT_DELETION_GRACE_DAYS`; until then it can be restored, and its address stays taken.
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
        """Possible until `delete_after`. Sign in afterwards. Subscriptions that were ended stay ended."""
        restore_account(auth, parse_email(body.email), body.password)
        return Answer(204)

    return routes

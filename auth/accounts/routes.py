"""`/api/auth/profile`: the caller's account, its names, closing and restoring it."""

from flask import Blueprint

from auth.accounts.close import AccountNotClosing, ClosedAnswer, close_account, restore_account
from auth.assembly import Auth
from auth.bodies import Email, Name, Password, ProfileAnswer, Username
from auth.email_address import parse_email
from auth.password_hashing.worker_pool import PasswordWorkBusy
from auth.principal import Principal
from auth.problems import AccountDisabled, InvalidCredentials, UsernameTaken
from auth.profile import UserAnswer, change_names, read_profile
from auth.rate_limits.by_address import AnyoneWithin
from security.api.models import Body
from security.api.operation import Answer, operation


class ChangeProfileBody(Body):
    display_name: Name | None = None
    """Null removes the name."""
    username: Username | None = None
    """Null removes the username."""


class RestoreBody(Body):
    email: Email
    password: Password


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
        """Returns your e-mail address, your names and your current tier."""
        profile = read_profile(caller.user_id, auth.clock())
        return Answer(200, ProfileAnswer(**dict(profile), impersonated_by=caller.impersonated_by is not None))

    @operation(
        routes,
        "PATCH",
        "",
        operation_id="updateProfile",
        summary="Change your account",
        guard=auth.signed_in,
        body=ChangeProfileBody,
        answers={200: UserAnswer},
        problems=(UsernameTaken,),
    )
    def change(caller: Principal, body: ChangeProfileBody) -> Answer:
        """Changes the fields that you send. The others stay the same."""
        if not body.model_fields_set:
            return Answer(200, read_profile(caller.user_id, auth.clock()))
        return Answer(200, change_names(caller.user_id, body.model_dump(exclude_unset=True), auth.clock()))

    @operation(
        routes,
        "PUT",
        "",
        operation_id="replaceProfile",
        summary="Replace your names",
        guard=auth.signed_in,
        body=ChangeProfileBody,
        answers={200: UserAnswer},
        problems=(UsernameTaken,),
    )
    def replace(caller: Principal, body: ChangeProfileBody) -> Answer:
        """Sets both names. One that you leave out is removed. To change only one, use `PATCH`."""
        return Answer(200, change_names(caller.user_id, body.model_dump(), auth.clock()))

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
        return Answer(200, close_account(auth, caller.user_id, caller.session_id))

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
        problems=(InvalidCredentials, AccountDisabled, AccountNotClosing, PasswordWorkBusy),
    )
    def restore(body: RestoreBody) -> None:
        """Works until `delete_after`. Sign in afterwards. Subscriptions that ended stay ended."""
        restore_account(auth, parse_email(body.email), body.password)

    return routes

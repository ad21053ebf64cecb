"""`/api/auth`: confirming an address, recovering an account through it, and changing it."""

from flask import Blueprint

from auth.assembly import Auth
from auth.bodies import CheckEmailAnswer
from auth.email.bodies import EmailBody, EmailProofBody, NewEmailBody, ResetPasswordBody, TokenBody
from auth.email.change import SameEmailAddress, confirm_email_change, request_email_change, undo_email_change
from auth.email.verify import verify_email
from auth.email_address import parse_email
from auth.email_codes.one_time_codes import OneTimeCodeNotValid, Purpose
from auth.email_codes.send import request_email
from auth.password_hashing.policy import NEW_PASSWORD_PROBLEMS
from auth.passwords.reset import reset_password
from auth.principal import Principal
from auth.problems import EmailTaken
from auth.profile import read_address
from auth.rate_limits.by_address import AnyoneWithin
from security.api.operation import Answer, operation
from security.api.request_bodies import Json
from security.edge.client_address import client_address
from security.edge.problems import TooManyRequests


def email_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("email", __name__, url_prefix="/api/auth")
    limits = auth.settings.limits
    asking = AnyoneWithin("whoever asks learns nothing", auth.address_limits, limits.emails, "emails")
    proving = AnyoneWithin("the e-mail is the credential", auth.address_limits, limits.confirm, "confirm")

    @operation(
        routes,
        "POST",
        "/verify-email",
        operation_id="verifyEmail",
        summary="Confirm your e-mail address",
        guard=proving,
        body=EmailProofBody,
        problems=(OneTimeCodeNotValid,),
    )
    def verify(body: EmailProofBody) -> None:
        """Send the `token` from the link in the e-mail, or its `code` and your address. Each works once."""
        verify_email(auth, body.root.proof)

    @operation(
        routes,
        "POST",
        "/resend-verification",
        operation_id="resendVerification",
        summary="Send the confirmation e-mail again",
        guard=asking,
        body=Json(EmailBody, optional=True),
        answers={202: CheckEmailAnswer},
        problems=auth.signed_in.problems,
    )
    def resend_verification(body: EmailBody | None) -> Answer:
        """Always returns 202, so that nobody can find out who has an account. We send one e-mail a minute to an address.

        Without a body, send an access token: the e-mail goes to the address of your account.
        """
        address = read_address(auth.signed_in.admit().user_id) if body is None else parse_email(body.email)
        request_email(auth, Purpose.VERIFY_EMAIL, address)
        return Answer(202, CheckEmailAnswer())

    @operation(
        routes,
        "POST",
        "/forgot-password",
        operation_id="requestPasswordReset",
        summary="Request a password reset",
        guard=asking,
        body=EmailBody,
        answers={202: CheckEmailAnswer},
    )
    def forgot_password(body: EmailBody) -> Answer:
        """Always returns 202, so that nobody can find out who has an account. We send one e-mail a minute to an address."""
        request_email(auth, Purpose.RESET_PASSWORD, parse_email(body.email))
        return Answer(202, CheckEmailAnswer())

    @operation(
        routes,
        "POST",
        "/reset-password",
        operation_id="resetPassword",
        summary="Set a new password",
        guard=proving,
        body=ResetPasswordBody,
        problems=(OneTimeCodeNotValid, *NEW_PASSWORD_PROBLEMS),
    )
    def reset(body: ResetPasswordBody) -> None:
        """Signs out every device. The link in the e-mail works for 30 minutes, the code for 10 minutes and 5 tries. If we refuse
        the new password, you can use them again.
        """
        reset_password(auth, body.root.proof, body.root.new_password)

    @operation(
        routes,
        "POST",
        "/email/change",
        operation_id="requestEmailChange",
        summary="Request a change of your e-mail address",
        guard=auth.recently_signed_in,
        body=NewEmailBody,
        answers={202: CheckEmailAnswer},
        problems=(SameEmailAddress, TooManyRequests),
    )
    def change_email(body: NewEmailBody, caller: Principal) -> Answer:
        """We send an e-mail to the new address. Nothing changes until you confirm it. The response is the same when another
        account uses the address; we then tell its owner.
        """
        auth.address_limits.count(auth.settings.limits.emails, "emails", client_address())
        request_email_change(auth, caller, parse_email(body.new_email))
        return Answer(202, CheckEmailAnswer())

    @operation(
        routes,
        "POST",
        "/email/confirm",
        operation_id="confirmEmailChange",
        summary="Confirm your new e-mail address",
        guard=proving,
        body=EmailProofBody,
        problems=(OneTimeCodeNotValid, EmailTaken),
    )
    def confirm_email(body: EmailProofBody) -> None:
        """`email` is the new address. Signs out every device except the one that requested the change."""
        confirm_email_change(auth, body.root.proof)

    @operation(
        routes,
        "POST",
        "/email/undo",
        operation_id="undoEmailChange",
        summary="Undo a change of your e-mail address",
        guard=proving,
        body=TokenBody,
        problems=(OneTimeCodeNotValid, EmailTaken),
    )
    def undo_email(body: TokenBody) -> None:
        """Send the `token` from the e-mail to your old address within 7 days. Signs out every device and removes the password. We
        then send an e-mail to set a new one.
        """
        undo_email_change(auth, body.token)

    return routes

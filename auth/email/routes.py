"""`/api/auth`: confirming an address, recovering an account through it, and changing it."""

from flask import Blueprint

from auth.assembly import Auth
from auth.bodies import CheckEmailAnswer
from auth.email.bodies import EmailBody, EmailProofBody, NewEmailBody, ResetPasswordBody, TokenBody
from auth.email.change import SameEmailAddress, confirm_email_change, request_email_change, undo_email_change
from auth.email.verify import verify_email
from auth.email_address import parse_email
from auth.email_codes.one_time_codes import OneTimeCodeNotValid, Purpose
from auth.email_codes.send import request_letter
from auth.password_hashing.policy import PasswordBreached, PasswordRefused, PasswordTooWeak
from auth.password_hashing.worker_pool import PasswordWorkBusy
from auth.passwords.reset import reset_password
from auth.principal import Principal
from auth.problems import EmailTaken
from auth.rate_limits.by_address import AnyoneWithin
from security.api.operation import Answer, Guard, operation
from security.edge.client_address import client_address
from security.edge.problems import TooManyRequests


def email_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("email", __name__, url_prefix="/api/auth")
    limits = auth.settings.limits
    asking = AnyoneWithin("whoever asks learns nothing", auth.address_limits, limits.letters, "letters")
    proving = AnyoneWithin("the letter is the credential", auth.address_limits, limits.confirm, "confirm")
    _declare_verification(routes, auth, asking, proving)
    _declare_password_reset(routes, auth, asking, proving)
    _declare_email_change(routes, auth, proving)
    return routes


def _declare_verification(routes: Blueprint, auth: Auth, asking: Guard, proving: Guard) -> None:
    @operation(
        routes,
        "POST",
        "/verify-email",
        operation_id="verifyEmail",
        summary="Confirm the e-mail address of an account",
        guard=proving,
        body=EmailProofBody,
        answers={204: None},
        problems=(OneTimeCodeNotValid,),
    )
    def verify(body: EmailProofBody) -> Answer:
        """With the `token` of the e-mail's link, or with its `code` and the address. Each works once."""
        verify_email(auth, body.root.proof)
        return Answer(204)

    @operation(
        routes,
        "POST",
        "/resend-verification",
        operation_id="resendVerification",
        summary="Send the confirmation e-mail again",
        guard=asking,
        body=EmailBody,
        answers={202: CheckEmailAnswer},
    )
    def resend_verification(body: EmailBody) -> Answer:
        """The answer is the same whether or not there is such an account. An address gets one e-mail a minute."""
        request_letter(auth, Purpose.VERIFY_EMAIL, parse_email(body.email))
        return Answer(202, CheckEmailAnswer())


def _declare_password_reset(routes: Blueprint, auth: Auth, asking: Guard, proving: Guard) -> None:
    @operation(
        routes,
        "POST",
        "/forgot-password",
        operation_id="requestPasswordReset",
        summary="Ask for an e-mail to reset a forgotten password",
        guard=asking,
        body=EmailBody,
        answers={202: CheckEmailAnswer},
    )
    def forgot_password(body: EmailBody) -> Answer:
        """The answer is the same whether or not there is such an account. An address gets one e-mail a minute."""
        request_letter(auth, Purpose.RESET_PASSWORD, parse_email(body.email))
        return Answer(202, CheckEmailAnswer())

    @operation(
        routes,
        "POST",
        "/reset-password",
        operation_id="resetPassword",
        summary="Set a new password",
        guard=proving,
        body=ResetPasswordBody,
        answers={204: None},
        problems=(OneTimeCodeNotValid, PasswordRefused, PasswordBreached, PasswordTooWeak, PasswordWorkBusy),
    )
    def reset(body: ResetPasswordBody) -> Answer:
        """With what the e-mail holds. Ends every session. The link works for 30 minutes, the code for ten minutes and five tries.
        A password that is refused spends neither.
        """
        reset_password(auth, body.root.proof, body.root.new_password)
        return Answer(204)


def _declare_email_change(routes: Blueprint, auth: Auth, proving: Guard) -> None:
    @operation(
        routes,
        "POST",
        "/email/change",
        operation_id="requestEmailChange",
        summary="Ask to move the account to another e-mail address",
        guard=auth.recently_signed_in,
        body=NewEmailBody,
        answers={202: CheckEmailAnswer},
        problems=(SameEmailAddress, TooManyRequests),
    )
    def change_email(body: NewEmailBody, caller: Principal) -> Answer:
        """Nothing changes before the e-mail to the new address is answered. When another account has that address, its
        owner is told, and the answer is the same.
        """
        auth.address_limits.count(auth.settings.limits.letters, "letters", client_address())
        request_email_change(auth, caller, parse_email(body.new_email))
        return Answer(202, CheckEmailAnswer())

    @operation(
        routes,
        "POST",
        "/email/confirm",
        operation_id="confirmEmailChange",
        summary="Confirm the new e-mail address",
        guard=proving,
        body=EmailProofBody,
        answers={204: None},
        problems=(OneTimeCodeNotValid, EmailTaken),
    )
    def confirm_email(body: EmailProofBody) -> Answer:
        """`email` is the new address. Ends all sessions but the one that asked for the change."""
        confirm_email_change(auth, body.root.proof)
        return Answer(204)

    @operation(
        routes,
        "POST",
        "/email/undo",
        operation_id="undoEmailChange",
        summary="Go back to the old e-mail address",
        guard=proving,
        body=TokenBody,
        answers={204: None},
        problems=(OneTimeCodeNotValid, EmailTaken),
    )
    def undo_email(body: TokenBody) -> Answer:
        """With the e-mail that went to the old address, within seven days. Ends every session and removes the password;
        an e-mail to set a new one follows.
        """
        undo_email_change(auth, body.token)
        return Answer(204)

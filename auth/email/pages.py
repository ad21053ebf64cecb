"""The pages that e-mails lead to. They change nothing by being opened: a button posts the token to the API.

Mail programs and scanners open links before their readers do. The token stands behind the #, which no browser sends, so
it is in no log; the script reads it there.
"""

from dataclasses import dataclass
from typing import Literal

from flask import Blueprint, render_template

from security.api.answers import Page
from security.api.operation import Answer, Anyone, operation
from security.pages.html_page import PageBlueprint, page_policy


@dataclass(frozen=True)
class AccountPage:
    """`asks` is what the form has beside the token of the link: with `code`, address and digits take the token's place."""

    path: str
    title: str
    text: str
    posts_to: str
    asks: frozenset[Literal["email", "code", "new_password"]]
    button: str
    done: str
    spent: str = "This link or code is wrong or has expired. Request a new e-mail."


PAGES = (
    AccountPage(
        path="/verify-email",
        title="Confirm your e-mail address",
        text="Press the button to confirm that this e-mail address is yours.",
        posts_to="/api/auth/verify-email",
        asks=frozenset({"code"}),
        button="Confirm your address",
        done="Your e-mail address is confirmed. You can close this page.",
    ),
    AccountPage(
        path="/forgot-password",
        title="Forgot your password?",
        text="Enter the e-mail address of your account. We will send you a link to set a new password.",
        posts_to="/api/auth/forgot-password",
        asks=frozenset({"email"}),
        button="Send e-mail",
        done="If an account uses this address, we have sent you an e-mail. It can take a minute. Check your spam folder too.",
    ),
    AccountPage(
        path="/reset-password",
        title="Set a new password",
        text="Use at least 15 characters if you can, for example a few words that do not belong together.",
        posts_to="/api/auth/reset-password",
        asks=frozenset({"code", "new_password"}),
        button="Set password",
        done="Your new password is set and every device is signed out. Sign in with it in the app.",
    ),
    AccountPage(
        path="/change-email",
        title="Confirm your new e-mail address",
        text="Press the button to use this address for your account. Your other devices will be signed out.",
        posts_to="/api/auth/email/confirm",
        asks=frozenset({"code"}),
        button="Confirm the change",
        done="Your e-mail address is changed. You can close this page.",
    ),
    AccountPage(
        path="/undo-email-change",
        title="Get your account back",
        text="Press the button to restore this address. Every device will be signed out and the password will stop working. "
        "We will then send you a link to set a new password.",
        posts_to="/api/auth/email/undo",
        asks=frozenset(),
        button="Undo the change",
        done="Your account is back. We have sent you an e-mail with a link to set a new password.",
        spent="This link was used or has expired. It works once, for 7 days.",
    ),
)


def account_pages() -> Blueprint:
    """`/account/…`, with a style sheet and a script of our own under a policy that allows nothing else."""
    routes = PageBlueprint("account_pages", __name__, url_prefix="/account")
    for page in PAGES:
        _show(routes, page)
    return routes


def _show(routes: Blueprint, page: AccountPage) -> None:
    @operation(
        routes,
        "GET",
        page.path,
        operation_id=page.path.strip("/"),
        summary=page.title,
        guard=Anyone("people follow the link of an e-mail, and the token in it is the credential"),
        answers={200: Page(page_policy(scripts=True))},
    )
    def show() -> Answer:
        return Answer(200, render_template("account_page.html", title=page.title, page=page))

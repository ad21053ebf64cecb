"""The pages that letters lead to. They change nothing by being opened: a button posts the token to the API.

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
    spent: str = "This link or code is not valid any more. Ask for a new e-mail."


PAGES = (
    AccountPage(
        path="/verify-email",
        title="Confirm your e-mail address",
        text="Press the button to confirm that this address is yours.",
        posts_to="/api/auth/verify-email",
        asks=frozenset({"code"}),
        button="Confirm the address",
        done="Thank you. Your address is confirmed; you can close this page.",
    ),
    AccountPage(
        path="/forgot-password",
        title="Forgot your password?",
        text="Enter the address of your account. We send you an e-mail with a link to set a new one.",
        posts_to="/api/auth/forgot-password",
        asks=frozenset({"email"}),
        button="Send the e-mail",
        done="If there is an account with this address, an e-mail is on its way. It can take a minute; look in your spam folder too.",
    ),
    AccountPage(
        path="/reset-password",
        title="Set a new password",
        text="Fifteen characters or more are best: a few words that nobody would put together.",
        posts_to="/api/auth/reset-password",
        asks=frozenset({"code", "new_password"}),
        button="Set the password",
        done="Your new password is set, and every session has ended. Sign in with it in the app.",
    ),
    AccountPage(
        path="/change-email",
        title="Confirm your new e-mail address",
        text="Your account moves to this address. Other devices will have to sign in again.",
        posts_to="/api/auth/email/confirm",
        asks=frozenset({"code"}),
        button="Confirm the new address",
        done="Done. Your account has its new address.",
    ),
    AccountPage(
        path="/undo-email-change",
        title="Take your account back",
        text="The account returns to this address, every session ends, and its password stops working. "
        "We then send you an e-mail with a link to set a new one.",
        posts_to="/api/auth/email/undo",
        asks=frozenset(),
        button="Undo the change",
        done="Your account is back. An e-mail with a link to set a new password is on its way.",
        spent="This link is not valid any more. It works once, and for seven days.",
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

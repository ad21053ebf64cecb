"""`/admin/verification`: accounts whose e-mail address nobody has confirmed."""

from typing import Final
from uuid import UUID

from admin.accounts.find import AccountFilter, list_accounts
from admin.accounts.routes import user_below
from admin.reason import ReasonForm
from auth.assembly import Auth
from auth.audit.record import record
from auth.email_address import parse_email
from auth.email_codes.one_time_codes import Purpose
from auth.email_codes.send import request_email
from auth.operators.accounts import NothingToChange, RoleNotBelowYours, Staff, confirm_address
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SENDS_ON, SHOWS, PageQuery, SitePages, Subject, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from database import transaction
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.problems import NotFound

NAME: Final = "verification"
PATH: Final = f"{ADMIN.root}/{NAME}"
DONE: Final = {
    "sent": "The e-mail is on its way, unless one was sent to this address within the last minute.",
    "verified": "The e-mail address is verified.",
}


class UnverifiedQuery(PageQuery, ListQuery):
    pass


def verification_pages(auth: Auth) -> Subject:
    return Subject(NAME, "E-mail verification", lambda guards: verification_routes(guards, auth), role=Role.ADMIN)


def verification_routes(guards: PageGuards, auth: Auth) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__, done=DONE)

    @operation(
        pages,
        "GET",
        "",
        operation_id="listUnverified",
        summary="List accounts that are not verified",
        guard=guards(Role.ADMIN),
        query=UnverifiedQuery,
        answers=SHOWS,
    )
    def unverified(caller: Principal, query: UnverifiedQuery) -> Answer:
        listed = list_accounts(AccountFilter(unverified=True), query.cursor, query.limit)
        return show("verification_list.html", title="E-mail verification", listed=listed)

    @operation(
        pages,
        "POST",
        "/<uuid:user_id>/send-again",
        operation_id="sendVerificationAgain",
        summary="Send the verification e-mail again",
        guard=guards(Role.ADMIN),
        answers=SENDS_ON,
        problems=(NotFound, RoleNotBelowYours, NothingToChange),
    )
    def send_again(caller: Principal, user_id: UUID) -> Answer:
        user = user_below(caller, user_id)
        if user.is_verified:
            raise NothingToChange("This address is verified")
        request_email(auth, Purpose.VERIFY_EMAIL, parse_email(user.email))
        with transaction() as session:
            record(session, "verification_sent_again", auth.clock(), user_id=user_id, actor_id=caller.user_id)
        return see_other(PATH, "sent")

    def confirm(caller: Principal, user_id: UUID) -> Answer:
        return show("verification_verify.html", title="Mark as verified", user=user_below(caller, user_id))

    def verify(caller: Principal, user_id: UUID, body: ReasonForm) -> Answer:
        confirm_address(auth, user_id, Staff(caller.user_id, caller.role, body.reason))
        return see_other(PATH, "verified")

    act_with_form(
        pages,
        "/<uuid:user_id>/verify",
        operation_ids=("confirmVerification", "verifyAddress"),
        summary="Mark an e-mail address as verified",
        guard=guards(Role.ADMIN, fresh=True),
        form=confirm,
        act=verify,
        body=Form(ReasonForm),
        problems=(NotFound, RoleNotBelowYours, NothingToChange),
    )
    return pages

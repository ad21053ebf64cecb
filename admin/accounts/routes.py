"""`/admin/accounts`: finding accounts, everything about one, and what the staff may do to it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Final
from uuid import UUID

from admin.accounts.bodies import AccountsQuery, NoFields, State, TierForm
from admin.accounts.find import AccountFilter, account_named, list_accounts
from admin.accounts.read import Plans, read_account, read_user
from admin.reason import ReasonForm
from auth.assembly import Auth
from auth.impersonation.impersonate import NotToBeImpersonated, impersonate, stop_impersonating
from auth.models import User
from auth.operators.accounts import (
    NothingToChange,
    RoleNotBelowYours,
    SetTier,
    Staff,
    TierEndRefused,
    disable,
    enable,
    give_tier,
    reset_second_factor,
)
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SENDS_ON, SHOWS, SitePages, Subject, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from auth.tiers import Tier
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.problems import NotFound
from security.logs.log import security_event

NAME: Final = "accounts"
PATH: Final = f"{ADMIN.root}/{NAME}"
NO_SUCH_ID: Final = "No account has this ID"
CHOICES: Final = tuple((tier.value, tier.value) for tier in Tier)
DONE: Final = {
    "tier": "The tier was set.",
    "disabled": "The account is disabled. Its sessions and API keys have ended.",
    "enabled": "The account is enabled. Its owner has to sign in again.",
    "second-factor": "The second factors were removed. The owner got an e-mail and has to sign in again.",
    "viewing-ended": "You no longer view the service as this account.",
}


@dataclass(frozen=True)
class Act:
    """What is done to an account with a reason and no further choice."""

    path: str
    operation_ids: tuple[str, str]
    title: str
    explanation: str
    button: str
    done: str
    command: Callable[[Auth, UUID, Staff], None]


ACTS: Final = (
    Act(
        "disable",
        ("confirmDisable", "disable"),
        "Disable this account",
        "Its sessions and API keys end at once, and access that was added in the last two weeks is removed. "
        "A subscription goes on being charged: cancel it at its provider.",
        "Disable account",
        "disabled",
        disable,
    ),
    Act(
        "enable",
        ("confirmEnable", "enable"),
        "Enable this account",
        "Its owner can sign in again. Sessions and API keys that ended stay ended.",
        "Enable account",
        "enabled",
        enable,
    ),
    Act(
        "reset-second-factor",
        ("confirmResetSecondFactor", "resetSecondFactor"),
        "Reset the second factor",
        "Removes the authenticator app, passkeys and recovery codes, and ends all sessions. The owner gets an e-mail. "
        "First make sure that it is the owner who asks.",
        "Reset second factor",
        "second-factor",
        reset_second_factor,
    ),
)


def account_pages(auth: Auth, set_tier: SetTier, plans: Plans) -> Subject:
    """`set_tier` keeps a tier that is given by hand. `plans`: what each tier allows."""
    return Subject(NAME, "Accounts", lambda guards: account_routes(guards, auth, set_tier, plans))


def account_routes(guards: PageGuards, auth: Auth, set_tier: SetTier, plans: Plans) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__, done=DONE)

    @operation(
        pages,
        "GET",
        "",
        operation_id="listAccounts",
        summary="Find an account",
        guard=guards(),
        query=AccountsQuery,
        answers={**SHOWS, **SENDS_ON},
    )
    def accounts(caller: Principal, query: AccountsQuery) -> Answer:
        if query.find is not None:
            found = account_named(query.find)
            if found is not None and read_user(found) is not None:
                return see_other(f"{PATH}/{found}")
        listed = None
        if caller.role.includes(Role.ADMIN):
            wanted = AccountFilter(
                tier=query.tier,
                role=query.role,
                disabled=query.state is State.DISABLED,
                unverified=query.state is State.UNVERIFIED,
            )
            listed = list_accounts(wanted, query.cursor, query.limit)
        return show(
            "accounts_list.html",
            title="Accounts",
            query=query,
            listed=listed,
            tiers=list(Tier),
            roles=list(Role),
            states=list(State),
        )

    @operation(
        pages,
        "GET",
        "/<uuid:user_id>",
        operation_id="getAccount",
        summary="See an account",
        guard=guards(),
        answers=SHOWS,
        problems=(NotFound,),
    )
    def account(caller: Principal, user_id: UUID) -> Answer:
        found = read_account(user_id, plans, auth.clock())
        if found is None:
            raise NotFound(NO_SUCH_ID)
        security_event("account_read", actor_id=caller.user_id, subject_id=user_id)
        return show(
            "accounts_account.html",
            title=found.user.email,
            account=found,
            now=auth.clock(),
            may_change=caller.role is Role.ADMIN and caller.role.outranks(Role(found.user.role)),
            may_view=found.user.is_active and caller.role.outranks(Role(found.user.role)),
            acts=ACTS,
        )

    def tier_form(caller: Principal, user_id: UUID) -> Answer:
        return show("accounts_tier.html", title="Set the tier", user=user_below(caller, user_id), choices=CHOICES)

    def set_tier_of(caller: Principal, user_id: UUID, body: TierForm) -> Answer:
        until = None if body.until is None else datetime.combine(body.until, time(), UTC)
        give_tier(auth, set_tier, user_id, body.tier, until, by=Staff(caller.user_id, caller.role, body.reason))
        return see_other(f"{PATH}/{user_id}", "tier")

    act_with_form(
        pages,
        "/<uuid:user_id>/tier",
        operation_ids=("showTierForm", "setTier"),
        summary="Set the tier of an account",
        guard=guards(Role.ADMIN, fresh=True),
        form=tier_form,
        act=set_tier_of,
        body=Form(TierForm),
        problems=(NotFound, RoleNotBelowYours, TierEndRefused),
    )

    def add(act: Act) -> None:
        def confirm(caller: Principal, user_id: UUID) -> Answer:
            return show("accounts_act.html", title=act.title, user=user_below(caller, user_id), act=act)

        def do(caller: Principal, user_id: UUID, body: ReasonForm) -> Answer:
            act.command(auth, user_id, Staff(caller.user_id, caller.role, body.reason))
            return see_other(f"{PATH}/{user_id}", act.done)

        act_with_form(
            pages,
            f"/<uuid:user_id>/{act.path}",
            operation_ids=act.operation_ids,
            summary=act.title,
            guard=guards(Role.ADMIN, fresh=True),
            form=confirm,
            act=do,
            body=Form(ReasonForm),
            problems=(NotFound, RoleNotBelowYours, NothingToChange),
        )

    for each in ACTS:
        add(each)

    def confirm_impersonation(caller: Principal, user_id: UUID) -> Answer:
        user = user_below(caller, user_id)
        return show("accounts_impersonate.html", title="View the service as this account", user=user)

    def begin_impersonation(caller: Principal, user_id: UUID, body: ReasonForm) -> Answer:
        _, token = impersonate(auth, caller, user_id, body.reason)
        return show(
            "accounts_impersonation.html",
            title="Your read-only token",
            user=user_of(user_id),
            token=token,
            base_url=auth.settings.issuer,
        )

    act_with_form(
        pages,
        "/<uuid:user_id>/impersonate",
        operation_ids=("confirmImpersonation", "impersonate"),
        summary="View the service as an account",
        guard=guards(fresh=True),
        form=confirm_impersonation,
        act=begin_impersonation,
        body=Form(ReasonForm),
        answers=SHOWS,
        problems=(NotFound, RoleNotBelowYours, NotToBeImpersonated),
    )

    @operation(
        pages,
        "POST",
        "/<uuid:user_id>/end-impersonation",
        operation_id="endImpersonation",
        summary="Stop viewing the service as an account",
        guard=guards(),
        body=Form(NoFields),
        answers=SENDS_ON,
    )
    def end_impersonation(caller: Principal, user_id: UUID, body: NoFields) -> Answer:
        stop_impersonating(auth, caller.user_id)
        return see_other(f"{PATH}/{user_id}", "viewing-ended")

    return pages


def user_of(user_id: UUID) -> User:
    user = read_user(user_id)
    if user is None:
        raise NotFound(NO_SUCH_ID)
    return user


def user_below(caller: Principal, user_id: UUID) -> User:
    """Said before somebody fills in the form; the command asks once more."""
    user = user_of(user_id)
    if not caller.role.outranks(Role(user.role)):
        raise RoleNotBelowYours
    return user

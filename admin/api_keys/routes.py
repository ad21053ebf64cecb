"""`/admin/keys`: API keys of all accounts, and taking one away."""

from typing import Annotated, Final
from uuid import UUID

from pydantic import Field

from admin.accounts.routes import user_below
from admin.api_keys.read import KeyFilter, list_keys, read_key
from admin.list_filter import ListFilter, whose
from admin.reason import ReasonForm
from auth.api_keys.bodies import KeyState, state_of
from auth.assembly import Auth
from auth.operators.accounts import NO_SUCH_KEY, NothingToChange, RoleNotBelowYours, Staff, revoke_key
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, SitePages, Subject, act_with_form, address_of, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.problems import NotFound
from security.logs.log import security_event

NAME: Final = "keys"
PATH: Final = f"{ADMIN.root}/{NAME}"


class KeysQuery(ListFilter):
    state: KeyState | None = None
    start: Annotated[str, Field(max_length=64)] | None = None


def api_key_pages(auth: Auth) -> Subject:
    return Subject(NAME, "API keys", lambda guards: api_key_routes(guards, auth))


def api_key_routes(guards: PageGuards, auth: Auth) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__, done={"revoked": "The API key is revoked."})

    @operation(
        pages,
        "GET",
        "",
        operation_id="listKeys",
        summary="List API keys",
        guard=guards(),
        query=KeysQuery,
        answers=SHOWS,
    )
    def keys(caller: Principal, query: KeysQuery) -> Answer:
        account, now = whose(caller, query.account), auth.clock()
        listed = None
        if account.hint is None:
            security_event("api_keys_read", actor_id=caller.user_id, subject_id=account.user_id)
            listed = list_keys(KeyFilter(account.user_id, query.state, query.start), now, query.cursor, query.limit)
        return show(
            "keys_list.html",
            title="API keys",
            hint=account.hint,
            listed=listed,
            states=list(KeyState),
            state_of=lambda key: state_of(key, now),
            may_act=caller.role is Role.ADMIN,
            kept=query.kept(),
        )

    def confirm(caller: Principal, key_id: UUID, query: KeysQuery) -> Answer:
        found = read_key(key_id)
        if found is None:
            raise NotFound(NO_SUCH_KEY)
        user_below(caller, found.row.user_id)
        return show("keys_revoke.html", title="Revoke an API key", found=found, back=address_of(PATH, query.kept()))

    def revoke(caller: Principal, key_id: UUID, query: KeysQuery, body: ReasonForm) -> Answer:
        revoke_key(auth, key_id, Staff(caller.user_id, caller.role, body.reason))
        return see_other(PATH, "revoked", query.kept())

    act_with_form(
        pages,
        "/<uuid:key_id>/revoke",
        operation_ids=("confirmKeyRevocation", "revokeKey"),
        summary="Revoke an API key",
        guard=guards(Role.ADMIN, fresh=True),
        form=confirm,
        act=revoke,
        body=Form(ReasonForm),
        query=KeysQuery,
        problems=(NotFound, RoleNotBelowYours, NothingToChange),
    )
    return pages

"""`/portal/keys`: the visitor's API keys."""

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from auth.api_keys.bodies import KeyAnswer
from auth.api_keys.create import KeyRequest, TooManyApiKeys, create_api_key
from auth.api_keys.list import list_api_keys
from auth.api_keys.revoke import revoke_api_key
from auth.assembly import Auth
from auth.bodies import Name
from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, PageQuery, SitePages, act_with_form, see_other, show
from auth.page_sessions.site import PORTAL
from auth.principal import Principal
from security.api.cursor import ListQuery
from security.api.models import FilledIn
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.problems import NotFound, TooManyRequests, ValidationFailed, field_error

PATH = f"{PORTAL.root}/keys"
Days = Literal["30", "90", "365"]


class KeysQuery(PageQuery, ListQuery):
    pass


class NewKeyForm(FilledIn):
    name: Name
    scopes: Annotated[list[str], Field(min_length=1)]
    days: Days


def key_pages(auth: Auth, guards: PageGuards) -> Blueprint:
    pages = SitePages(PORTAL, "keys", __name__, done={"revoked": "The key no longer works."})

    def one_key(caller: Principal, key_id: UUID) -> KeyAnswer:
        """Raises NotFound."""
        query = ListQuery(limit=200)
        found = list_api_keys(caller.user_id, auth.scopes, auth.clock(), query).items
        key = next((each for each in found if each.id == key_id), None)
        if key is None:
            raise NotFound
        return key

    @operation(
        pages, "GET", "", operation_id="keys", summary="API keys", guard=guards(), query=KeysQuery, answers=SHOWS
    )
    def keys(caller: Principal, query: KeysQuery) -> Answer:
        page = list_api_keys(
            caller.user_id, auth.scopes, auth.clock(), ListQuery(cursor=query.cursor, limit=query.limit)
        )
        return show("portal_keys.html", title="API keys", keys=page.items, next_cursor=page.next_cursor)

    def new_key_form(caller: Principal) -> Answer:
        return show("portal_keys_new.html", title="Create an API key", scopes=auth.scopes)

    def create(caller: Principal, body: NewKeyForm) -> Answer:
        """Shows the key, this once."""
        if unknown := set(body.scopes) - auth.scopes.keys():
            raise ValidationFailed([field_error(["scopes"], "unknown_scope", f"{min(unknown)} is not a scope")])
        requested = KeyRequest(body.name, sorted(set(body.scopes)), timedelta(days=int(body.days)), [])
        made = create_api_key(auth, caller.user_id, caller.session_id, requested)
        return show("portal_keys_made.html", title="Your new API key", key=made)

    act_with_form(
        pages,
        "/new",
        operation_ids=("new_key_form", "create_key"),
        summary="Create an API key",
        guard=guards(fresh=True),
        form=new_key_form,
        act=create,
        body=Form(NewKeyForm),
        answers=SHOWS,
        problems=(TooManyApiKeys, TooManyRequests),
    )

    def revoke_form(caller: Principal, key_id: UUID) -> Answer:
        return show("portal_keys_revoke.html", title="Revoke an API key", key=one_key(caller, key_id))

    def revoke(caller: Principal, key_id: UUID) -> Answer:
        revoke_api_key(auth, caller.user_id, caller.session_id, key_id)
        return see_other(PATH, "revoked")

    act_with_form(
        pages,
        "/<uuid:key_id>/revoke",
        operation_ids=("revoke_key_form", "revoke_key"),
        summary="Revoke an API key",
        guard=guards(),
        form=revoke_form,
        act=revoke,
        problems=(NotFound,),
    )
    return pages

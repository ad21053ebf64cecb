"""`/api/auth/tokens`: the API keys of the account."""

from uuid import UUID

from flask import Blueprint

from auth.api_keys.bodies import CreateKeyBody, KeysAnswer, NewKeyAnswer, RotateKeyBody, create_key_body
from auth.api_keys.create import TooManyApiKeys, create_api_key, key_problems, key_request
from auth.api_keys.list import list_api_keys
from auth.api_keys.revoke import revoke_api_key
from auth.api_keys.rotate import ApiKeyReplaced, rotate_api_key
from auth.assembly import Auth
from auth.principal import Principal
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation
from security.edge.problems import TooManyRequests


def api_key_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("tokens", __name__, url_prefix="/api/auth/tokens")

    @operation(
        routes,
        "POST",
        "",
        operation_id="createApiKey",
        summary="Create an API key",
        guard=auth.recently_signed_in,
        body=create_key_body(tuple(auth.scopes.items()), auth.settings.api_key_default_days),
        answers={201: NewKeyAnswer},
        problems=(TooManyApiKeys, TooManyRequests, *key_problems(auth)),
    )
    def create(caller: Principal, body: CreateKeyBody) -> Answer:
        """Returns the API key. Store it now: we do not show it again. An account can have up to 25 keys and create up to 30 an
        hour.
        """
        return Answer(201, create_api_key(auth, caller.user_id, caller.session_id, key_request(auth, body)))

    @operation(
        routes,
        "GET",
        "",
        operation_id="listApiKeys",
        summary="List the API keys of your account",
        guard=auth.signed_in_as_oneself,
        query=ListQuery,
        answers={200: KeysAnswer},
    )
    def show(caller: Principal, query: ListQuery) -> Answer:
        """Returns active keys first, then those that ended within the last month. Does not return the keys themselves."""
        page = list_api_keys(caller.user_id, auth.scopes, auth.clock(), query)
        return Answer(200, KeysAnswer(tokens=list(page.items), next_cursor=page.next_cursor))

    @operation(
        routes,
        "DELETE",
        "/<uuid:key_id>",
        operation_id="revokeApiKey",
        summary="Revoke an API key",
        guard=auth.signed_in,
    )
    def revoke(caller: Principal, key_id: UUID) -> None:
        """The key stops working at once."""
        revoke_api_key(auth, caller.user_id, caller.session_id, key_id)

    @operation(
        routes,
        "POST",
        "/<uuid:key_id>/rotate",
        operation_id="rotateApiKey",
        summary="Replace an API key",
        guard=auth.recently_signed_in,
        body=RotateKeyBody,
        answers={201: NewKeyAnswer},
        problems=(ApiKeyReplaced, TooManyRequests, *key_problems(auth)),
    )
    def rotate(caller: Principal, key_id: UUID, body: RotateKeyBody) -> Answer:
        """Returns a new key with the same name, scopes, networks and lifetime. The old key keeps working until the overlap ends."""
        return Answer(201, rotate_api_key(auth, caller.user_id, caller.session_id, key_id, body.overlap))

    return routes

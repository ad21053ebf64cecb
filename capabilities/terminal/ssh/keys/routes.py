"""`/api/terminal/ssh/keys`: the private keys that a user signs in to servers with."""

from typing import Final
from uuid import UUID

from flask import Blueprint
from sqlalchemy import select

from auth.assembly import Auth
from auth.principal import Principal
from capabilities.terminal.models import SshKey
from capabilities.terminal.ssh.keys.add_key import add_key
from capabilities.terminal.ssh.keys.bodies import NewSshKeyBody, SshKeyAnswer, SshKeysAnswer, key_answer
from capabilities.terminal.ssh.keys.delete_key import delete_key
from capabilities.terminal.ssh.keys.problems import KeyNotReadable, SshKeyInUse, TooManySshKeys
from database import reading
from database.pages import newest_first, page_of
from security.api.cursor import ListQuery
from security.api.operation import Answer, Guard, operation
from security.api.request_bodies import Json
from security.edge.problems import NotFound

LARGEST_BODY: Final = 2 * 1024 * 1024
"""What is no key is told so, and not only that it is too large."""


def key_routes(auth: Auth, guard: Guard, fresh: Guard) -> Blueprint:
    """`fresh` asks for a fresh proof of who the caller is."""
    routes = Blueprint("ssh_keys", __name__, url_prefix="/api/terminal/ssh/keys")

    @operation(
        routes,
        "POST",
        "",
        operation_id="addSshKey",
        summary="Add an SSH key",
        guard=fresh,
        body=Json(NewSshKeyBody, limit=LARGEST_BODY),
        answers={201: SshKeyAnswer},
        problems=(KeyNotReadable, TooManySshKeys),
    )
    def add(caller: Principal, body: NewSshKeyBody) -> Answer:
        """Stores a private key that you have, or makes a new one. No answer ever contains a private key.

        Ed25519, ECDSA and RSA from 2,048 bits are accepted. A key with a passphrase must be in OpenSSH format, as `ssh-keygen` writes
        it.
        """
        return Answer(201, add_key(auth, caller, body.root))

    @operation(
        routes,
        "GET",
        "",
        operation_id="listSshKeys",
        summary="List your SSH keys",
        guard=guard,
        query=ListQuery,
        answers={200: SshKeysAnswer},
    )
    def show(caller: Principal, query: ListQuery) -> Answer:
        """Returns the newest first, without their private parts."""
        mine = select(SshKey).where(SshKey.user_id == caller.user_id)
        with reading() as session:
            found = session.scalars(newest_first(mine, SshKey.id, query.cursor, query.limit)).all()
            page = page_of(list(map(key_answer, found)), query.limit)
        return Answer(200, SshKeysAnswer(keys=list(page.items), next_cursor=page.next_cursor))

    @operation(
        routes,
        "DELETE",
        "/<uuid:key_id>",
        operation_id="deleteSshKey",
        summary="Delete an SSH key",
        guard=guard,
        problems=(NotFound, SshKeyInUse),
    )
    def delete(caller: Principal, key_id: UUID) -> None:
        """It cannot be restored. Remove its public key from your servers as well."""
        delete_key(auth, caller, key_id)

    return routes

"""`/api/terminal/ssh/known-hosts`: the host keys that a user accepted."""

from uuid import UUID

from flask import Blueprint
from sqlalchemy import delete, select

from auth.assembly import Auth
from auth.audit.record import record
from auth.principal import Principal
from capabilities.terminal.models import SshKnownHost
from capabilities.terminal.ssh.known_hosts.accept import accept_host_key
from capabilities.terminal.ssh.known_hosts.bodies import (
    AcceptHostKeyBody,
    KnownHostAnswer,
    KnownHostsAnswer,
    known_host_answer,
)
from capabilities.terminal.ssh.known_hosts.problems import HostKeyNotSeen, KnownHostKeyChanged, TooManyKnownHosts
from database import reading, transaction
from database.pages import newest_first, page_of
from security.api.cursor import ListQuery
from security.api.operation import Answer, Guard, operation
from security.edge.problems import NotFound


def known_host_routes(auth: Auth, guard: Guard) -> Blueprint:
    routes = Blueprint("ssh_known_hosts", __name__, url_prefix="/api/terminal/ssh/known-hosts")

    @operation(
        routes,
        "GET",
        "",
        operation_id="listKnownHosts",
        summary="List the host keys that you accepted",
        guard=guard,
        query=ListQuery,
        answers={200: KnownHostsAnswer},
    )
    def show(caller: Principal, query: ListQuery) -> Answer:
        """Returns the newest first."""
        mine = select(SshKnownHost).where(SshKnownHost.user_id == caller.user_id)
        with reading() as session:
            found = session.scalars(newest_first(mine, SshKnownHost.id, query.cursor, query.limit)).all()
            page = page_of(list(map(known_host_answer, found)), query.limit)
        return Answer(200, KnownHostsAnswer(known_hosts=list(page.items), next_cursor=page.next_cursor))

    @operation(
        routes,
        "POST",
        "",
        operation_id="addKnownHost",
        summary="Accept the host key of a server",
        guard=guard,
        body=AcceptHostKeyBody,
        answers={201: KnownHostAnswer},
        problems=(HostKeyNotSeen, KnownHostKeyChanged, TooManyKnownHosts),
    )
    def accept(caller: Principal, body: AcceptHostKeyBody) -> Answer:
        """Accepts the key that the server showed in the last 10 minutes. From then on the server must have this key.

        Compare the fingerprint first, for example with the output of `ssh-keygen -lf` on the server.
        """
        return Answer(201, accept_host_key(auth, caller, body))

    @operation(
        routes,
        "DELETE",
        "/<uuid:known_host_id>",
        operation_id="deleteKnownHost",
        summary="Delete a host key that you accepted",
        guard=guard,
        problems=(NotFound,),
    )
    def forget(caller: Principal, known_host_id: UUID) -> None:
        """The next connection to the server shows its key again. Do this when the server was given a new key."""
        mine = delete(SshKnownHost).where(SshKnownHost.id == known_host_id, SshKnownHost.user_id == caller.user_id)
        with transaction() as session:
            fingerprint = session.scalars(mine.returning(SshKnownHost.fingerprint)).one_or_none()
            if fingerprint is None:
                raise NotFound
            record(
                session,
                "ssh_host_key_removed",
                auth.clock(),
                user_id=caller.user_id,
                session_id=caller.session_id,
                known_host_id=str(known_host_id),
                fingerprint=fingerprint,
            )

    return routes

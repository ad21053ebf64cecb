"""Accepting the key of a server: what the user says is compared with what the server showed."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth.account_change import hold_account
from auth.assembly import Auth
from auth.audit.record import record
from auth.principal import Principal
from capabilities.terminal.models import HostKeySource, SshKnownHost
from capabilities.terminal.ssh.host_name import Server
from capabilities.terminal.ssh.known_hosts.bodies import AcceptHostKeyBody, KnownHostAnswer, known_host_answer
from capabilities.terminal.ssh.known_hosts.problems import HostKeyNotSeen, KnownHostKeyChanged, TooManyKnownHosts
from capabilities.terminal.ssh.known_hosts.seen import seen_key
from database import transaction
from database.base import uuid7

MOST_KNOWN_HOSTS = 1_000


def accept_host_key(
    auth: Auth, caller: Principal, body: AcceptHostKeyBody, source: HostKeySource = HostKeySource.API
) -> KnownHostAnswer:
    """One that is known already is answered as it is. Raises HostKeyNotSeen, KnownHostKeyChanged, TooManyKnownHosts."""
    now, server = auth.clock(), Server(body.host, body.port)
    with transaction() as session:
        hold_account(session, caller.user_id, caller.session_id)
        known = known_of(session, caller.user_id, server)
        for row in known:
            if row.fingerprint == body.fingerprint:
                return known_host_answer(row)
        shown = seen_key(session, caller.user_id, server, body.fingerprint, now)
        if shown is None:
            raise HostKeyNotSeen
        if known:
            raise KnownHostKeyChanged
        count = select(func.count()).where(SshKnownHost.user_id == caller.user_id)
        if session.scalars(count).one() >= MOST_KNOWN_HOSTS:
            raise TooManyKnownHosts
        row = SshKnownHost(
            id=uuid7(),
            user_id=caller.user_id,
            host=body.host,
            port=body.port,
            algorithm=shown.algorithm,
            key=shown.key,
            fingerprint=shown.fingerprint,
            source=source,
            accepted_at=now,
        )
        session.add(row)
        session.flush()
        record(
            session,
            "ssh_host_key_accepted",
            now,
            user_id=caller.user_id,
            session_id=caller.session_id,
            known_host_id=str(row.id),
            fingerprint=row.fingerprint,
        )
        return known_host_answer(row)


def known_of(session: Session, user_id: UUID, server: Server) -> list[SshKnownHost]:
    mine = select(SshKnownHost).where(SshKnownHost.user_id == user_id)
    return list(session.scalars(mine.where(SshKnownHost.host == server.host, SshKnownHost.port == server.port)))

"""Storing a private key: one that the user sends, or a new one."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import func, select

from auth.account_change import hold_account
from auth.assembly import Auth
from auth.audit.record import record
from auth.principal import Principal
from capabilities.terminal.models import SshKey
from capabilities.terminal.plan_limits import TERMINAL_LIMITS
from capabilities.terminal.ssh.keys.bodies import GenerateKeyBody, SshKeyAnswer, UploadKeyBody, key_answer
from capabilities.terminal.ssh.keys.problems import TooManySshKeys
from capabilities.terminal.ssh.keys.sealed_key import owner_of
from database import transaction
from database.base import uuid7

if TYPE_CHECKING:
    from capabilities.terminal.ssh.keys.read_key import PrivateKeyFile


def add_key(auth: Auth, caller: Principal, body: UploadKeyBody | GenerateKeyBody) -> SshKeyAnswer:
    """Raises KeyNotReadable, TooManySshKeys, and InvalidToken when the session has ended meanwhile."""
    from capabilities.terminal.ssh.keys.read_key import generate_ed25519, read_key_file  # noqa: PLC0415 - asyncssh

    if isinstance(body, UploadKeyBody):
        content = body.private_key.get_secret_value()
        file = read_key_file(content)
    else:
        content, file = generate_ed25519()
    key, now = sealed_key(auth, caller.user_id, body.name, content, file), auth.clock()
    with transaction() as session:
        hold_account(session, caller.user_id, caller.session_id)
        count = select(func.count()).where(SshKey.user_id == caller.user_id)
        if session.scalars(count).one() >= TERMINAL_LIMITS[caller.tier].keys:
            raise TooManySshKeys
        session.add(key)
        session.flush()
        record(
            session,
            "ssh_key_added",
            now,
            user_id=caller.user_id,
            session_id=caller.session_id,
            key_id=str(key.id),
            fingerprint=file.fingerprint,
        )
        return key_answer(key)


def sealed_key(auth: Auth, user_id: UUID, name: str, content: str, file: "PrivateKeyFile") -> SshKey:
    key_id = uuid7()
    return SshKey(
        id=key_id,
        user_id=user_id,
        name=name,
        type=file.type,
        public_key=file.public_key,
        fingerprint=file.fingerprint,
        has_passphrase=file.has_passphrase,
        sealed=auth.data_keys.seal(content.encode(), owner_of(user_id, key_id)),
        key_id=auth.data_keys.current,
        created_at=auth.clock(),
    )

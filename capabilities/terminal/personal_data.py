"""What the terminal holds about a user. No private key and nothing sealed is exported."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from auth.personal_data import PersonalData, columns_of, rows_of
from capabilities.terminal.models import (
    SshKey,
    SshKnownHost,
    SshProfile,
    SshSeenHostKey,
    SyncHead,
    SyncItem,
    TerminalCommand,
    TerminalSession,
)
from database.base import Base
from database.batch import PORTION

TABLES: dict[str, tuple[type[Base], str]] = {
    "sessions": (
        TerminalSession,
        "id profile_id state name rows cols last_seq bytes_in bytes_out created_at opened_at detached_at closed_at close_reason"
        " exit_status",
    ),
    "ssh_profiles": (
        SshProfile,
        "id name host port username auth ssh_key_id terminal_type keepalive_seconds created_at updated_at last_used_at",
    ),
    "ssh_keys": (SshKey, "id name type public_key fingerprint has_passphrase created_at last_used_at"),
    "ssh_known_hosts": (SshKnownHost, "id host port algorithm fingerprint source accepted_at"),
    "ssh_seen_host_keys": (SshSeenHostKey, "host port algorithm fingerprint seen_at"),
    "commands": (TerminalCommand, "id session_id profile_id command cwd exit_status duration_ms at"),
    "sync_items": (SyncItem, "kind key value revision deleted updated_at"),
    "sync_revision": (SyncHead, "revision"),
}


def export_terminal(session: Session, user_id: UUID) -> dict[str, Any]:
    return {
        section: rows_of(session, select(*columns_of(table, names)).where(table.user_id == user_id))  # type: ignore[attr-defined]
        for section, (table, names) in TABLES.items()
    }


def erase_terminal(session: Session, user_id: UUID) -> int:
    """The history by portions. The rest is little, and goes with the user's row."""
    some = select(TerminalCommand.id).where(TerminalCommand.user_id == user_id).limit(PORTION)
    gone = delete(TerminalCommand).where(TerminalCommand.user_id == user_id, TerminalCommand.id.in_(some))
    return int(session.execute(gone).rowcount)  # type: ignore[attr-defined]


TERMINAL_DATA = PersonalData("terminal", export_terminal, erase=erase_terminal)

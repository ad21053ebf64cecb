"""What this package holds about a user, for an export. No secret is in it: no hash, no salt, no token."""

from typing import Any
from uuid import UUID

from sqlalchemy import Executable, Select, select
from sqlalchemy.orm import Session

from auth.api_key_models import ApiKey
from auth.audit_models import SecurityEvent
from auth.device_models import KnownDevice
from auth.identity_models import Identity
from auth.models import AuthSession, User
from auth.personal_data import PersonalData
from auth.second_factor.models import Passkey, TotpSecret

ACCOUNT = (
    User.id,
    User.email,
    User.display_name,
    User.is_verified,
    User.role,
    User.tier,
    User.tier_expires_at,
    User.created_at,
    User.updated_at,
    User.last_login_at,
)
SESSIONS = (
    AuthSession.id,
    AuthSession.device_name,
    AuthSession.user_agent,
    AuthSession.ip.label("ip_first"),
    AuthSession.ip_last,
    AuthSession.remember,
    AuthSession.created_at,
    AuthSession.last_seen_at,
    AuthSession.expires_at,
    AuthSession.revoked_at,
    AuthSession.revoke_reason,
)
IDENTITIES = (Identity.provider, Identity.subject, Identity.created_at)
DEVICES = (KnownDevice.id, KnownDevice.created_at, KnownDevice.last_used_at)
API_KEYS = (
    ApiKey.id,
    ApiKey.start,
    ApiKey.name,
    ApiKey.scopes,
    ApiKey.allowed_networks,
    ApiKey.created_at,
    ApiKey.expires_at,
    ApiKey.revoked_at,
    ApiKey.last_used_at,
    ApiKey.last_used_ip,
)
PASSKEYS = (Passkey.id, Passkey.name, Passkey.created_at, Passkey.last_used_at)
AUTHENTICATOR_APPS = (TotpSecret.confirmed_at,)
EVENTS = (
    SecurityEvent.id,
    SecurityEvent.occurred_at,
    SecurityEvent.event,
    SecurityEvent.session_id,
    SecurityEvent.ip,
    SecurityEvent.user_agent,
    SecurityEvent.detail,
)


def export_account(session: Session, user_id: UUID) -> dict[str, Any]:
    (account,) = rows_of(session, select(*ACCOUNT).where(User.id == user_id))
    return {
        "account": account,
        "sessions": rows_of(session, _own(SESSIONS, AuthSession, user_id).order_by(AuthSession.id)),
        "identities": rows_of(session, _own(IDENTITIES, Identity, user_id).order_by(Identity.created_at)),
        "known_devices": rows_of(session, _own(DEVICES, KnownDevice, user_id).order_by(KnownDevice.id)),
        "api_keys": rows_of(session, _own(API_KEYS, ApiKey, user_id).order_by(ApiKey.id)),
        "passkeys": rows_of(session, _own(PASSKEYS, Passkey, user_id).order_by(Passkey.id)),
        "authenticator_apps": rows_of(session, _own(AUTHENTICATOR_APPS, TotpSecret, user_id)),
        "security_events": rows_of(session, _own(EVENTS, SecurityEvent, user_id).order_by(SecurityEvent.id)),
    }


def rows_of(session: Session, query: Executable) -> list[dict[str, Any]]:
    """Each row as column name to value."""
    return [dict(row) for row in session.execute(query).mappings()]


def _own(columns: tuple[Any, ...], table: Any, user_id: UUID) -> Select[*tuple[Any, ...]]:
    return select(*columns).where(table.user_id == user_id)


ACCOUNT_DATA = PersonalData("account", export_account)

"""What this package holds about a user, for an export, and what is taken out of the rows that outlive the account.

No secret is in an export: no hash, no salt, no token and nothing that one is computed from. Nor is who of the staff did
something, and from where. tests/test_personal_data.py names every column that is left out, with the reason.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, case, null, select
from sqlalchemy.orm import Session

from auth.apple_tokens.models import AppleRefreshToken
from auth.audit.models import SecurityEvent
from auth.email_codes.models import OneTimeCode
from auth.exports.forget_origins import forget_origins
from auth.exports.models import DataExport
from auth.impersonation.models import Impersonation
from auth.models import ApiKey, AuthSession, Identity, User
from auth.personal_data import PersonalData, rows_of
from auth.second_factor.models import (
    Passkey,
    PasskeyChallenge,
    RecoveryCode,
    SignInChallenge,
    TotpSecret,
    WrongSecondFactor,
)
from auth.sessions.models import KnownDevice

ACCOUNT = (
    User.id,
    User.email,
    User.display_name,
    User.is_active,
    User.is_verified,
    User.role,
    User.tier,
    User.tier_expires_at,
    User.tier_source,
    User.created_at,
    User.updated_at,
    User.last_login_at,
    User.delete_after,
)
SESSIONS = (
    AuthSession.id,
    AuthSession.device_name,
    AuthSession.user_agent,
    AuthSession.ip.label("ip_first"),
    AuthSession.ip_last,
    AuthSession.remember,
    AuthSession.created_at,
    AuthSession.auth_time,
    AuthSession.rotated_at,
    AuthSession.last_seen_at,
    AuthSession.idle_expires_at,
    AuthSession.expires_at,
    AuthSession.revoked_at,
    AuthSession.revoke_reason,
)
IDENTITIES = (Identity.id, Identity.provider, Identity.subject, Identity.created_at)
APPLE_TOKENS = (
    AppleRefreshToken.id,
    AppleRefreshToken.identity_id,
    AppleRefreshToken.client_id,
    AppleRefreshToken.created_at,
)
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
    ApiKey.replaced_by_id,
    ApiKey.last_used_at,
    ApiKey.last_used_ip,
    ApiKey.seen_networks,
)
PASSKEYS = (
    Passkey.id,
    Passkey.name,
    Passkey.sign_count,
    Passkey.transports,
    Passkey.backup_eligible,
    Passkey.backed_up,
    Passkey.created_at,
    Passkey.last_used_at,
)
AUTHENTICATOR_APPS = (TotpSecret.created_at, TotpSecret.confirmed_at)
RECOVERY_CODES = (RecoveryCode.id, RecoveryCode.created_at, RecoveryCode.used_at)
WRONG_CODES = (WrongSecondFactor.id, WrongSecondFactor.device_id, WrongSecondFactor.tried_at)
ONE_TIME_CODES = (
    OneTimeCode.purpose,
    OneTimeCode.email,
    OneTimeCode.session_id,
    OneTimeCode.created_at,
    OneTimeCode.link_expires_at,
    OneTimeCode.code_expires_at,
    OneTimeCode.tries,
    OneTimeCode.used_at,
)
WAITING_SIGN_INS = (
    SignInChallenge.id,
    SignInChallenge.method,
    SignInChallenge.device_id,
    SignInChallenge.choices,
    SignInChallenge.tries,
    SignInChallenge.created_at,
    SignInChallenge.expires_at,
)
PASSKEY_CHALLENGES = (PasskeyChallenge.purpose, PasskeyChallenge.flow_id, PasskeyChallenge.expires_at)
EXPORTS = (DataExport.id, DataExport.requested_at, DataExport.ready_at, DataExport.expires_at)
IMPERSONATIONS = (
    Impersonation.id,
    Impersonation.reason,
    Impersonation.started_at,
    Impersonation.expires_at,
    Impersonation.ended_at,
)
OWN_IMPERSONATIONS = (
    Impersonation.id,
    Impersonation.actor_session_id,
    Impersonation.started_at,
    Impersonation.expires_at,
    Impersonation.ended_at,
)
BY_STAFF = SecurityEvent.actor_id.is_not(None)


def _unless_by_staff(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Where the staff works from is not the user's."""
    return case((BY_STAFF, null()), else_=column).label(column.key)


EVENTS = (
    SecurityEvent.id,
    SecurityEvent.occurred_at,
    SecurityEvent.event,
    BY_STAFF.label("by_staff"),
    SecurityEvent.session_id,
    _unless_by_staff(SecurityEvent.ip.expression),
    _unless_by_staff(SecurityEvent.user_agent.expression),
    SecurityEvent.request_id,
    SecurityEvent.detail,
)
DEEDS = (
    SecurityEvent.id,
    SecurityEvent.occurred_at,
    SecurityEvent.event,
    SecurityEvent.session_id,
    SecurityEvent.ip,
    SecurityEvent.user_agent,
    SecurityEvent.request_id,
)
"""What a member of the staff did to accounts of others, of whom nothing is said."""


def export_account(session: Session, user_id: UUID) -> dict[str, Any]:
    (account,) = rows_of(session, select(*ACCOUNT).where(User.id == user_id))
    identities = select(Identity.id).where(Identity.user_id == user_id)
    apple = select(*APPLE_TOKENS).where(AppleRefreshToken.identity_id.in_(identities))
    as_staff = select(*OWN_IMPERSONATIONS).where(Impersonation.actor_id == user_id)
    deeds = select(*DEEDS).where(SecurityEvent.actor_id == user_id)
    sections: dict[str, Select[*tuple[Any, ...]]] = {
        "sessions": _own(SESSIONS, AuthSession, user_id).order_by(AuthSession.id),
        "identities": _own(IDENTITIES, Identity, user_id).order_by(Identity.created_at),
        "apple_authorizations": apple.order_by(AppleRefreshToken.id),
        "known_devices": _own(DEVICES, KnownDevice, user_id).order_by(KnownDevice.id),
        "api_keys": _own(API_KEYS, ApiKey, user_id).order_by(ApiKey.id),
        "passkeys": _own(PASSKEYS, Passkey, user_id).order_by(Passkey.id),
        "authenticator_apps": _own(AUTHENTICATOR_APPS, TotpSecret, user_id),
        "recovery_codes": _own(RECOVERY_CODES, RecoveryCode, user_id).order_by(RecoveryCode.id),
        "wrong_second_factors": _own(WRONG_CODES, WrongSecondFactor, user_id).order_by(WrongSecondFactor.id),
        "one_time_codes": _own(ONE_TIME_CODES, OneTimeCode, user_id).order_by(OneTimeCode.created_at),
        "waiting_sign_ins": _own(WAITING_SIGN_INS, SignInChallenge, user_id).order_by(SignInChallenge.id),
        "passkey_challenges": _own(PASSKEY_CHALLENGES, PasskeyChallenge, user_id),
        "exports": _own(EXPORTS, DataExport, user_id).order_by(DataExport.id),
        "impersonations": _own(IMPERSONATIONS, Impersonation, user_id).order_by(Impersonation.id),
        "impersonations_as_staff": as_staff.order_by(Impersonation.id),
        "security_events": _own(EVENTS, SecurityEvent, user_id).order_by(SecurityEvent.id),
        "security_events_as_staff": deeds.order_by(SecurityEvent.id),
    }
    return {"account": account, **{name: rows_of(session, query) for name, query in sections.items()}}


def _own(columns: tuple[Any, ...], table: Any, user_id: UUID) -> Select[*tuple[Any, ...]]:
    return select(*columns).where(table.user_id == user_id)


ACCOUNT_DATA = PersonalData("account", export_account, erase=forget_origins)

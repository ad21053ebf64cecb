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
from auth.mail.models import DeadEmail
from auth.models import ApiKey, AuthSession, Identity, User
from auth.personal_data import PersonalData, columns_of, rows_of
from auth.second_factor.models import (
    Passkey,
    PasskeyChallenge,
    RecoveryCode,
    SignInChallenge,
    TotpSecret,
    WrongSecondFactor,
)
from auth.sessions.models import KnownDevice

BY_STAFF = SecurityEvent.actor_id.is_not(None)


def _unless_by_staff(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Where the staff works from is not the user's."""
    return case((BY_STAFF, null()), else_=column).label(column.key)


def export_account(session: Session, user_id: UUID) -> dict[str, Any]:
    def own(table: Any, names: str) -> Select[*tuple[Any, ...]]:
        return select(*columns_of(table, names)).where(table.user_id == user_id)

    account = select(
        *columns_of(
            User,
            "id email username display_name is_active is_verified role tier tier_expires_at tier_source created_at updated_at "
            "last_login_at delete_after",
        )
    )
    sessions = own(
        AuthSession,
        "id device_name user_agent ip_last remember created_at auth_time rotated_at last_seen_at idle_expires_at expires_at "
        "revoked_at revoke_reason",
    )
    identities = select(Identity.id).where(Identity.user_id == user_id)
    apple = select(*columns_of(AppleRefreshToken, "id identity_id client_id created_at"))
    api_keys = own(
        ApiKey,
        "id start name scopes allowed_networks created_at expires_at revoked_at replaced_by_id last_used_at last_used_ip "
        "seen_networks",
    )
    one_time_codes = own(
        OneTimeCode, "purpose email session_id created_at link_expires_at code_expires_at tries used_at"
    )
    impersonations = own(Impersonation, "id reason started_at expires_at ended_at")
    as_staff = select(*columns_of(Impersonation, "id actor_session_id started_at expires_at ended_at"))
    events = own(SecurityEvent, "id occurred_at event session_id request_id detail").add_columns(
        BY_STAFF.label("by_staff"),
        _unless_by_staff(SecurityEvent.ip.expression),
        _unless_by_staff(SecurityEvent.user_agent.expression),
    )
    # What a member of the staff did to accounts of others, of whom nothing is said.
    deeds = select(*columns_of(SecurityEvent, "id occurred_at event session_id ip user_agent request_id"))
    passkeys = own(Passkey, "id name sign_count transports backup_eligible backed_up created_at last_used_at")
    waiting = own(SignInChallenge, "id method device_id choices tries created_at expires_at")
    sections: dict[str, Select[*tuple[Any, ...]]] = {
        "sessions": sessions.add_columns(AuthSession.ip.label("ip_first")).order_by(AuthSession.id),
        "identities": own(Identity, "id provider subject created_at").order_by(Identity.created_at),
        "apple_authorizations": apple.where(AppleRefreshToken.identity_id.in_(identities)).order_by(
            AppleRefreshToken.id
        ),
        "known_devices": own(KnownDevice, "id created_at last_used_at").order_by(KnownDevice.id),
        "api_keys": api_keys.order_by(ApiKey.id),
        "passkeys": passkeys.order_by(Passkey.id),
        "authenticator_apps": own(TotpSecret, "created_at confirmed_at"),
        "recovery_codes": own(RecoveryCode, "id created_at used_at").order_by(RecoveryCode.id),
        "wrong_second_factors": own(WrongSecondFactor, "id device_id tried_at").order_by(WrongSecondFactor.id),
        "one_time_codes": one_time_codes.order_by(OneTimeCode.created_at),
        "waiting_sign_ins": waiting.order_by(SignInChallenge.id),
        "passkey_challenges": own(PasskeyChallenge, "purpose flow_id expires_at"),
        "exports": own(DataExport, "id requested_at ready_at expires_at").order_by(DataExport.id),
        "unsent_emails": own(DeadEmail, "template address values purpose reason failed_at").order_by(DeadEmail.id),
        "impersonations": impersonations.order_by(Impersonation.id),
        "impersonations_as_staff": as_staff.where(Impersonation.actor_id == user_id).order_by(Impersonation.id),
        "security_events": events.order_by(SecurityEvent.id),
        "security_events_as_staff": deeds.where(SecurityEvent.actor_id == user_id).order_by(SecurityEvent.id),
    }
    (own_account,) = rows_of(session, account.where(User.id == user_id))
    return {"account": own_account, **{name: rows_of(session, query) for name, query in sections.items()}}


ACCOUNT_DATA = PersonalData("account", export_account, erase=forget_origins)

"""The parts of this package, put together for one application."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal

from auth.account_state import AccountStates
from auth.api_keys.authenticate import ApiKeys
from auth.apple_tokens.client import AppleTokens, apple_tokens_of
from auth.data_keys import DataKeys
from auth.email_codes.one_time_codes import OneTimeCodes
from auth.exports.account_data import ACCOUNT_DATA
from auth.invites.codes import InviteCodes
from auth.mail.messages import Mailer
from auth.mail.transport import MailTransport, mail_transport_of
from auth.middleware import KnownCallers, SignedIn, SignedInMetered
from auth.minute_limits import ACCOUNT_CALLS, GENERAL, MinuteLimit
from auth.password_hashing.bcrypt_hash import Hasher, Passwords
from auth.password_hashing.breached import PwnedPasswords
from auth.password_hashing.policy import PasswordRules
from auth.password_hashing.worker_pool import PasswordWork
from auth.personal_data import PersonalData
from auth.rate_limits.anyone_or_signed_in import AnyoneOrSignedIn
from auth.rate_limits.by_account import AccountThrottle
from auth.rate_limits.by_address import AddressLimits, AuthLimits
from auth.rate_limits.by_mailbox import MailboxLimits
from auth.rate_limits.open_reads import OpenReads, OwnCounts
from auth.scopes import CORE_SCOPES
from auth.second_factor.passkeys.webauthn import PasskeySite
from auth.sessions.cookies import TokenCookies
from auth.sessions.lifetimes import SessionLifetimes
from auth.settings import AuthSections
from auth.tiers import Tier
from auth.tokens.access_keys import AccessKeyRing
from auth.tokens.access_token import AccessTokens
from auth.tokens.refresh_token import RefreshTokens
from database.base import Clock, utc_now
from database.redis.server import RedisServer
from security.edge.origin import origin_of
from security.secrets.derived_key import derived_key
from settings.web_server import usable_cores

MOST_KNOWN_CALLERS: Final = 8192


@dataclass(frozen=True)
class AuthSettings:
    """`issuer`, where clients reach the API, and `audience` stand in every access token; links in e-mails begin with the former.

    `registration_response`: see accounts/register.py; `registration_mode`: see invites/redeem.py. `passkey_site`: whom passkeys are
    made for; by default the issuer's host. `web_origins` are the origins of web apps that may keep a refresh token in a
    cookie. An account that its owner closed can be restored for `deletion_grace`. `requests_per_minute` is the general limit
    of each tier, and `account_calls_per_minute` that of signed-in requests to `/api/auth`; empty for none. `api_key_default_days`:
    the life of an API key where none is named; None for no end.
    `require_email_verification`: metered calls and API keys take a confirmed address.
    """

    issuer: str
    audience: str = "mirroros"
    access_lifetime: timedelta = timedelta(minutes=15)
    sessions: SessionLifetimes = field(default_factory=SessionLifetimes)
    refresh_grace: timedelta = timedelta(seconds=60)
    bcrypt_cost: int = 12
    password_hasher: Hasher = "bcrypt"  # noqa: S105
    password_threads: int | None = None
    """Passwords that this process hashes at once; None for one on each core. All processes share the cores."""
    password_minimum_length: int = 10
    registration_response: Literal["classic", "private"] = "private"
    registration_mode: Literal["open", "invite", "closed"] = "open"
    mail_sender: str = "no-reply@localhost"
    limits: AuthLimits = field(default_factory=AuthLimits)
    passkey_site: PasskeySite | None = None
    web_origins: frozenset[str] = frozenset()
    deletion_grace: timedelta = timedelta(days=14)
    requests_per_minute: Mapping[Tier, int] = field(default_factory=dict)
    account_calls_per_minute: Mapping[Tier, int] = field(default_factory=dict)
    api_key_default_days: int | None = 90
    require_email_verification: bool = False


@dataclass(frozen=True)
class Auth:
    """What the commands and routes of accounts work with. Made by `assemble_auth`."""

    settings: AuthSettings
    clock: Clock
    passwords: Passwords
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    states: AccountStates
    signed_in: SignedIn
    signed_in_as_oneself: SignedIn
    recently_signed_in: SignedIn
    scopes: Mapping[str, str]
    """What an API key may be used for here, with a title for each."""
    api_keys: ApiKeys
    known_callers: KnownCallers
    redis: RedisServer
    address_limits: AddressLimits
    mailbox_limits: MailboxLimits
    throttle: AccountThrottle
    password_rules: PasswordRules
    one_time_codes: OneTimeCodes
    invite_codes: InviteCodes
    mailer: Mailer
    data_keys: DataKeys
    passkey_site: PasskeySite
    cookies: TokenCookies
    personal_data: tuple[PersonalData, ...]
    apple_tokens: AppleTokens | None

    @property
    def metered_scopes(self) -> frozenset[str]:
        """Those of capabilities: whoever calls with them uses up limits."""
        return frozenset(self.scopes.keys() - CORE_SCOPES.keys())

    @property
    def of_account_calls(self) -> "Auth":
        """The same for routes under `/api/auth`: their guards count against the limit of such calls too."""
        return replace(
            self,
            signed_in=replace(self.signed_in, account_call=True),
            signed_in_as_oneself=replace(self.signed_in_as_oneself, account_call=True),
            recently_signed_in=replace(self.recently_signed_in, account_call=True),
        )

    def signed_in_or_key(self, scope: str) -> SignedIn:
        """The guard of a route that takes API keys with this scope too. That of a capability means calls that are metered."""
        return replace(self.signed_in, scope=self._known(scope), metered=scope in self.metered_scopes)

    def anyone_or_signed_in(self, because: str, scope: str | None = None) -> AnyoneOrSignedIn:
        """The guard of what is read without an account too: 100 requests a minute from one network address. `because` says why it
        is open. API keys with this scope may call as well.
        """
        signed_in = self.signed_in if scope is None else replace(self.signed_in, scope=self._known(scope))
        limit = self.settings.limits.open_reads
        anyone = OpenReads(because, limit, self.redis, self.clock, self.address_limits, OwnCounts())
        return AnyoneOrSignedIn(signed_in, anyone)

    def metered(self, scope: str) -> SignedInMetered:
        """The guard of metered calls that take API keys with this scope too."""
        known = self._known(scope)
        return SignedInMetered(
            self.signed_in, self.states, self.api_keys, known, self.redis, self.clock, self.known_callers
        )

    def _known(self, scope: str) -> str:
        if scope not in self.scopes:
            raise ValueError(f"no API key can have the scope {scope!r}: no capability that is on declares it")
        return scope


def assemble_auth(
    settings: AuthSettings,
    *,
    access_keys: AccessKeyRing,
    refresh_key: bytes,
    redis: RedisServer,
    throttle_key: bytes,
    one_time_key: bytes,
    invite_key: bytes,
    data_keys: Mapping[str, bytes],
    transport: MailTransport | None = None,
    pepper: bytes | None = None,
    pwned_passwords: Container[str] = frozenset(),
    scopes: Mapping[str, str] = MappingProxyType({}),
    personal_data: Sequence[PersonalData] = (),
    apple_tokens: AppleTokens | None = None,
    clock: Clock = utc_now,
) -> Auth:
    """`pepper` is mixed into passwords before they are hashed. `throttle_key` hides addresses in Redis, `one_time_key` makes the
    codes in e-mails, `transport` sends them, and `invite_key` hides invite codes in the database. `data_keys`, the current one
    first, seal what the database must not give away. `scopes` are those of the packages above, each with a title, and
    `personal_data` is what these packages hold about users. `apple_tokens` takes back Sign in with Apple.

    Starts no thread and connects to nothing.
    """
    access_tokens = AccessTokens(
        access_keys,
        issuer=settings.issuer,
        audience=settings.audience,
        lifetime=settings.access_lifetime,
        clock=clock,
    )
    states = AccountStates(
        redis,
        clock,
        MinuteLimit(GENERAL, settings.requests_per_minute, clock),
        MinuteLimit(ACCOUNT_CALLS, settings.account_calls_per_minute, clock),
        require_verification=settings.require_email_verification,
    )
    address_limits = AddressLimits(redis)
    scopes = {**CORE_SCOPES, **scopes}
    api_keys = ApiKeys(states, address_limits, settings.limits.wrong_api_keys, frozenset(scopes), clock)
    signed_in = SignedIn(access_tokens, states, api_keys, clock)
    codes = OneTimeCodes(one_time_key)
    return Auth(
        settings=settings,
        clock=clock,
        passwords=Passwords(
            PasswordWork(threads=settings.password_threads),
            cost=settings.bcrypt_cost,
            pepper=pepper,
            hasher=settings.password_hasher,
        ),
        access_tokens=access_tokens,
        refresh_tokens=RefreshTokens(refresh_key),
        states=states,
        signed_in=signed_in,
        signed_in_as_oneself=replace(signed_in, as_oneself=True),
        recently_signed_in=replace(signed_in, fresh=True),
        scopes=scopes,
        api_keys=api_keys,
        known_callers=KnownCallers(MOST_KNOWN_CALLERS),
        redis=redis,
        address_limits=address_limits,
        mailbox_limits=MailboxLimits(redis, throttle_key, settings.limits.emails_to_one_mailbox),
        throttle=AccountThrottle(
            redis,
            throttle_key,
            strangers=settings.limits.strangers,
            known_devices=settings.limits.known_devices,
        ),
        password_rules=PasswordRules(settings.password_minimum_length, pwned_passwords),
        one_time_codes=codes,
        invite_codes=InviteCodes(invite_key),
        mailer=Mailer(transport, settings.mail_sender, settings.issuer, codes, clock),
        data_keys=DataKeys(data_keys),
        passkey_site=settings.passkey_site or PasskeySite.of(settings.issuer),
        cookies=TokenCookies(
            derived_key(refresh_key, "mirroros csrf tokens v1"),
            settings.web_origins | {origin_of(settings.issuer) or settings.issuer},
            clock,
            settings.issuer,
        ),
        personal_data=(ACCOUNT_DATA, *personal_data),
        apple_tokens=apple_tokens,
    )


def auth_of(
    settings: AuthSections,
    *,
    redis: RedisServer,
    requests_per_minute: Mapping[Tier, int],
    account_calls_per_minute: Mapping[Tier, int],
    scopes: Mapping[str, str],
    personal_data: Sequence[PersonalData],
) -> Auth:
    """As the settings say."""
    breached = settings.pwned_passwords_file
    return assemble_auth(
        AuthSettings(
            issuer=settings.public_base_url,
            access_lifetime=timedelta(minutes=settings.jwt_access_token_expire_minutes),
            sessions=SessionLifetimes(
                idle=timedelta(minutes=settings.jwt_short_refresh_expire_minutes),
                remembered_idle=timedelta(days=settings.jwt_refresh_token_expire_days),
            ),
            bcrypt_cost=settings.bcrypt_cost,
            password_hasher=settings.password_hasher,
            password_threads=max(1, usable_cores() // settings.web_concurrency),
            registration_response=settings.registration_response,
            registration_mode=settings.registration_mode,
            mail_sender=settings.default_from_email,
            passkey_site=PasskeySite(settings.passkey_domain, settings.accepted_passkey_origins),
            web_origins=settings.web_origins,
            deletion_grace=timedelta(days=settings.account_deletion_grace_days),
            requests_per_minute=requests_per_minute if settings.rate_limit_general else {},
            account_calls_per_minute=account_calls_per_minute if settings.rate_limit_general else {},
            api_key_default_days=settings.api_key_default_days,
            require_email_verification=settings.require_email_verification,
        ),
        access_keys=settings.access_keys,
        refresh_key=settings.refresh_key,
        redis=redis,
        throttle_key=settings.derived_key("mirroros sign-in counts v1"),
        one_time_key=settings.derived_key("mirroros one-time codes v1"),
        invite_key=settings.derived_key("mirroros invite codes v1"),
        data_keys=settings.data_key_ring,
        transport=mail_transport_of(settings),
        pepper=settings.pepper,
        pwned_passwords=frozenset() if breached is None else PwnedPasswords(breached),
        scopes=scopes,
        personal_data=personal_data,
        apple_tokens=apple_tokens_of(settings, utc_now),
    )

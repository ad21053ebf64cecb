"""The parts of this package, put together for one application."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from auth.access_key_ring import KeyRing
from auth.access_token import AccessTokens
from auth.account_state import AccountStates
from auth.account_throttle import AccountThrottle
from auth.address_limits import AddressLimits, AuthLimits
from auth.letter_limits import LetterLimits
from auth.mail.letters import Letters
from auth.mail.post import Post
from auth.middleware import RecentlySignedIn, SignedIn, SignedInMetered
from auth.one_time_codes import OneTimeCodes
from auth.open_session import SessionLifetimes
from auth.password_work import PasswordWork
from auth.passwords import Passwords
from auth.refresh_token import RefreshTokens
from database.base import Clock, utc_now
from database.redis_lease import RedisLeases


@dataclass(frozen=True)
class AuthSettings:
    """`issuer`, where clients reach the API, and `audience` stand in every access token; links in letters begin with the former.

    `registration_response`: see register.py.
    """

    issuer: str
    audience: str = "mirroros"
    access_lifetime: timedelta = timedelta(minutes=15)
    sessions: SessionLifetimes = field(default_factory=SessionLifetimes)
    refresh_grace: timedelta = timedelta(seconds=60)
    bcrypt_cost: int = 12
    password_minimum_length: int = 10
    registration_response: Literal["classic", "private"] = "private"
    mail_sender: str = "no-reply@localhost"
    limits: AuthLimits = field(default_factory=AuthLimits)


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
    recently_signed_in: RecentlySignedIn
    signed_in_metered: SignedInMetered
    address_limits: AddressLimits
    letter_limits: LetterLimits
    throttle: AccountThrottle
    pwned_passwords: Container[str]
    one_time_codes: OneTimeCodes
    letters: Letters


def assemble_auth(
    settings: AuthSettings,
    *,
    access_keys: KeyRing,
    refresh_key: bytes,
    leases: RedisLeases,
    throttle_key: bytes,
    one_time_key: bytes,
    post: Post | None = None,
    peppers: Mapping[str, bytes] | None = None,
    pwned_passwords: Container[str] = frozenset(),
    clock: Clock = utc_now,
) -> Auth:
    """`peppers` maps ids to keys, the current one first. `throttle_key` hides addresses in Redis, `one_time_key` makes the
    codes in letters, and `post` sends them.

    Starts no thread and connects to nothing.
    """
    access_tokens = AccessTokens(
        access_keys,
        issuer=settings.issuer,
        audience=settings.audience,
        lifetime=settings.access_lifetime,
        clock=clock,
    )
    states = AccountStates(leases, clock)
    signed_in = SignedIn(access_tokens, states, clock)
    codes = OneTimeCodes(one_time_key)
    return Auth(
        settings=settings,
        clock=clock,
        passwords=Passwords(PasswordWork(), cost=settings.bcrypt_cost, peppers=peppers),
        access_tokens=access_tokens,
        refresh_tokens=RefreshTokens(refresh_key),
        states=states,
        signed_in=signed_in,
        recently_signed_in=RecentlySignedIn(signed_in, clock),
        signed_in_metered=SignedInMetered(signed_in, leases, clock),
        address_limits=AddressLimits(leases),
        letter_limits=LetterLimits(leases, throttle_key, settings.limits.letters_to_one_address),
        throttle=AccountThrottle(
            leases,
            throttle_key,
            strangers=settings.limits.strangers,
            known_devices=settings.limits.known_devices,
        ),
        pwned_passwords=pwned_passwords,
        one_time_codes=codes,
        letters=Letters(post, settings.mail_sender, settings.issuer, codes, clock),
    )

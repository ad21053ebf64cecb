"""The settings of accounts: how they are made and closed, and the keys of their tokens."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr

from auth.mail.settings import MailSection
from auth.password_hashing.breached import PwnedPasswords, PwnedPasswordsUnusable
from auth.tokens.access_keys import AccessKeyRing, Algorithm, SigningKey
from security.secrets.signing_keys import key_bytes, named_keys
from settings import types
from settings.section import Complaint, Place, secret_texts

DERIVED_DATA_KEY: Final = "0"
"""Its id in the ring; no other key may have it."""
USUAL_MOST_MINUTES: Final = 60
"""Of an access token's life."""


def _password_list(path: Path) -> Path:
    try:
        PwnedPasswords(path)
    except PwnedPasswordsUnusable:
        raise ValueError("must be a file that begins with SHA-1 hashes in hexadecimal, one per line") from None
    return path


def _or_none(text: object) -> object:
    return None if text == "none" else text


AccessKeysText = Annotated[SecretStr, types.readable(AccessKeyRing.read)]
DataKeysText = Annotated[SecretStr, types.readable(named_keys)]
PasswordList = Annotated[FilePath, AfterValidator(_password_list)]


class AccountsSection(MailSection):
    title: ClassVar = "Accounts"

    jwt_secret_key: types.LongKey | None = None
    """The key that signs access tokens. Default: derived from `SECRET_KEY`."""
    jwt_keys: AccessKeysText | None = None
    """Several keys instead of the one: `kid:algorithm:material,…`. The first signs, all verify. See `flask keys rotate`."""
    refresh_token_key: types.LongKey | None = None
    """The key that creates refresh tokens. Default: derived from `SECRET_KEY`."""
    password_pepper: types.LongKey | None = None
    """Mixed into every password before hashing. Keep a copy: without it no password can be checked."""
    data_keys: DataKeysText | None = Field(default=None, examples=["d1:msk_..."])
    """The keys that encrypt second factors, Apple's tokens and SSH keys: `d2:msk_…,d1:msk_…`. The first encrypts new data, all
    decrypt old data. Default: derived from `SECRET_KEY`; that data stays readable."""
    jwt_algorithm: Annotated[Algorithm | None, types.UpperCase] = Field(default=None, examples=["HS256"])
    """The algorithm of access tokens, `HS256` or `ES256`. Only checked: it follows from the first key of `JWT_KEYS`, and is
    `HS256` without them."""
    jwt_access_token_expire_minutes: int = Field(default=15, ge=1, le=1440)
    """How long an access token is valid, in minutes."""
    jwt_short_refresh_expire_minutes: int = Field(ge=1, le=10080, examples=["60"])
    """After how many minutes without use a session ends whose user did not choose to be remembered. Default: 60, or twice
    `JWT_ACCESS_TOKEN_EXPIRE_MINUTES` if that is longer."""
    jwt_refresh_token_expire_days: int = Field(default=30, ge=1, le=90)
    """After how many days without use a session ends whose user chose to be remembered."""
    password_hasher: Annotated[Literal["bcrypt", "argon2id"], types.LowerCase] = "bcrypt"  # noqa: S105
    """How passwords are hashed: `bcrypt` or `argon2id`. Hashes of both are accepted. The next sign-in replaces the other kind."""
    bcrypt_cost: int = Field(default=12, ge=4, le=16)
    """bcrypt's work factor. At least 10 outside development."""
    pwned_passwords_file: PasswordList | None = Field(
        default=None, examples=["/data/pwned-passwords-sha1-ordered-by-hash.txt"]
    )
    """A file of breached passwords that users cannot choose: sorted SHA-1 hashes in hexadecimal, one per line."""
    account_deletion_grace_days: int = Field(default=14, ge=0, le=30)
    """How many days a closed account can be restored before it is deleted."""
    registration_response: Annotated[Literal["classic", "private"], types.LowerCase] = Field(examples=["classic"])
    """`classic` says if an e-mail address is already registered, `private` always gives the same response. Default:
    `classic` in development, otherwise `private`."""
    registration_mode: Annotated[Literal["open", "invite", "closed"], types.LowerCase] = "open"
    """Who can create an account: `open` for anyone, `invite` for people with a code from `flask invites create`,
    `closed` for nobody."""
    require_email_verification: bool = False
    """Whether metered calls and new API keys need a confirmed e-mail address. Others get 403 `email_not_verified`."""
    api_key_default_days: Annotated[int | None, BeforeValidator(_or_none)] = Field(default=90, ge=1, le=365)
    """In how many days an API key ends if its owner does not say. `none` for no end."""
    rate_limit_general: bool = True
    """`off` removes each plan's limit of requests a minute. For tests and load tests."""

    @staticmethod
    def defaults(place: Place) -> dict[str, str]:
        access = place.texts.get("JWT_ACCESS_TOKEN_EXPIRE_MINUTES", "")
        minutes = int(access) if re.fullmatch("[0-9]{1,4}", access) else 0
        return {
            "registration_response": "classic" if place.is_development else "private",
            "jwt_short_refresh_expire_minutes": str(max(60, 2 * minutes)),
        }

    def contradictions(self) -> Iterator[Complaint]:
        if self.jwt_keys is not None and self.jwt_secret_key is not None:
            yield "JWT_KEYS", "cannot be set together with JWT_SECRET_KEY; remove one of them"
        yield from self._differing_algorithms()
        if self.jwt_short_refresh_expire_minutes < self.jwt_access_token_expire_minutes:
            yield (
                "JWT_SHORT_REFRESH_EXPIRE_MINUTES",
                "must not be less than JWT_ACCESS_TOKEN_EXPIRE_MINUTES, or sessions end before their access tokens do",
            )
        if DERIVED_DATA_KEY in self._named_data_keys():
            yield "DATA_KEYS", f"must not use the id {DERIVED_DATA_KEY}, which the key derived from SECRET_KEY has"

    def _differing_algorithms(self) -> Iterator[Complaint]:
        signs = self.access_keys.signing.algorithm
        if self.jwt_algorithm not in {None, signs}:
            if self.jwt_keys is not None:
                yield "JWT_ALGORITHM", f"must be {signs} or not set, because the first key of JWT_KEYS is for {signs}"
            else:
                yield (
                    "JWT_ALGORITHM",
                    f"can only be {signs} without JWT_KEYS; to change it, run `flask keys rotate --algorithm {self.jwt_algorithm}`",
                )

    def unsafe(self) -> Iterator[Complaint]:
        if self.bcrypt_cost < 10:
            yield "BCRYPT_COST", "must be at least 10"
        if self.registration_response == "private" and self.email_host is None:
            yield (
                "EMAIL_HOST",
                "must be set, unless REGISTRATION_RESPONSE is classic: a private registration continues by " "e-mail",
            )

        if self.require_email_verification and self.email_host is None:
            yield "EMAIL_HOST", "must be set, because REQUIRE_EMAIL_VERIFICATION asks for what e-mails confirm"

    def secrets(self) -> dict[str, str]:
        """Keys of a ring are named with their id."""
        texts = secret_texts(
            jwt_secret_key=self.jwt_secret_key,
            refresh_token_key=self.refresh_token_key,
            password_pepper=self.password_pepper,
        )
        texts |= {f"DATA_KEYS ({key_id})": key for key_id, key in self._named_data_keys().items()}
        if self.jwt_keys is not None:
            texts |= {f"JWT_KEYS ({key.key_id})": key.text().rpartition(":")[2] for key in self.access_keys.keys}
        return texts

    def remarks(self) -> Iterator[str]:
        if self.password_pepper is None:
            yield "PASSWORD_PEPPER is not set: stolen password hashes are easier to attack."
        if (minutes := self.jwt_access_token_expire_minutes) > USUAL_MOST_MINUTES:
            yield (
                f"JWT_ACCESS_TOKEN_EXPIRE_MINUTES is {minutes}: a stolen access token works for so long, unless its session is"
                " ended. Apps that refresh need no more than 15."
            )

    @property
    def access_keys(self) -> AccessKeyRing:
        if self.jwt_keys is not None:
            return AccessKeyRing.read(self.jwt_keys.get_secret_value())
        return AccessKeyRing([SigningKey("k1", self.key_or_derived(self.jwt_secret_key, "mirroros access tokens v1"))])

    @property
    def refresh_key(self) -> bytes:
        return self.key_or_derived(self.refresh_token_key, "mirroros refresh tokens v1")

    @property
    def pepper(self) -> bytes | None:
        return None if self.password_pepper is None else key_bytes(self.password_pepper.get_secret_value())

    @property
    def data_key_ring(self) -> dict[str, bytes]:
        """The current key first. The derived one stays, so that `DATA_KEYS` can be set later."""
        named = {name: key_bytes(key) for name, key in self._named_data_keys().items()}
        return {**named, DERIVED_DATA_KEY: self.derived_key("mirroros data keys v1")}

    def _named_data_keys(self) -> dict[str, str]:
        return {} if self.data_keys is None else named_keys(self.data_keys.get_secret_value())

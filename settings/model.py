"""Every setting of one process, typed and frozen.

Making one checks each value's form; `config.py` makes it.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, FilePath, SecretStr

from auth.tokens.access_keys import AccessKeyRing, SigningKey
from security.secrets.derived_key import derived_key
from security.secrets.signing_keys import PrivateServerKeys
from settings import types

RAILWAY_HEALTH_CHECK_HOST: Final = "healthcheck.railway.app"
"""The `Host` of Railway's health checks (docs.railway.com, Healthchecks)."""

DERIVED_DATA_KEY: Final = "0"
"""Its id in the ring; no other key may have it."""


class Environment(StrEnum):
    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class RegistrationResponse(StrEnum):
    CLASSIC = "classic"
    PRIVATE = "private"


class RegistrationMode(StrEnum):
    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


class ResponseVerification(StrEnum):
    REQUIRED = "required"
    IF_PRESENT = "if_present"
    OFF = "off"


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class Settings(BaseModel):
    """Every variable that the process reads; the field's name in upper case is the variable's name.

    A field without a default is required, and `settings/defaults.py` fills it in where the environment allows
    that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    flask_env: Annotated[Environment, types.LowerCase] = Field(
        description="`development`, `staging` or `production`, the default on Railway and Heroku."
    )
    flask_debug: bool = Field(default=False, description="Flask's debugger. Refused outside development.")
    port: int = Field(default=8000, ge=1, le=65535, description="The port that the web process listens on.")
    public_base_url: types.BaseUrl = Field(
        description="Where clients reach this API: `https://api.example.com`. Links are built from it alone."
    )
    trusted_hosts: types.HostNames = Field(
        default=frozenset(),
        description="Hosts that requests may name, separated by commas. Default: that of `PUBLIC_BASE_URL`.",
    )
    trusted_proxy_hops: int = Field(
        ge=0,
        le=5,
        description="Proxies in front that append to `X-Forwarded-For`. Default 0, on Railway and Heroku 1.",
    )
    cors_origins: types.Origins = Field(
        default=frozenset(),
        description=(
            "Origins of web apps that may call this API, separated by commas; of hybrid apps too, such as "
            "`capacitor://localhost`. Default in development: `localhost` and `127.0.0.1` with port 3000 or 5173."
        ),
    )

    secret_key: SecretStr = Field(description="The master secret; keys that are not set below are derived from it.")
    jwt_secret_key: types.LongKey | None = Field(
        default=None, description="Signs access tokens. Default: derived from `SECRET_KEY`."
    )
    jwt_keys: types.AccessKeysText | None = Field(
        default=None,
        description="In place of the one key: `kid:algorithm:material,…`, the first signs. See `flask keys rotate`.",
    )
    refresh_token_key: types.LongKey | None = Field(
        default=None, description="Makes refresh tokens. Default: derived from `SECRET_KEY`."
    )
    password_pepper: types.LongKey | None = Field(
        default=None,
        description="Mixed into every password before hashing. Without it no password can be checked again.",
    )
    data_keys: types.DataKeysText | None = Field(
        default=None,
        description=(
            "Seal second factors and Apple's tokens: `d2:msk_…,d1:msk_…`, the first for what is new, all for what is old. "
            "Default: derived from `SECRET_KEY`, which stays readable."
        ),
    )
    jwt_access_token_expire_minutes: int = Field(
        default=15, ge=1, le=60, description="How long an access token is good, in minutes."
    )
    bcrypt_cost: int = Field(
        default=12, ge=4, le=16, description="bcrypt's work factor; at least 10 outside development."
    )
    pwned_passwords_file: types.PasswordList | None = Field(
        default=None, description="A list of breached passwords: sorted SHA-1 hashes in hexadecimal, one a line."
    )
    account_deletion_grace_days: int = Field(
        default=14, ge=0, le=30, description="Days in which an account that its owner closed can be restored."
    )
    registration_response: Annotated[RegistrationResponse, types.LowerCase] = Field(
        description=(
            "`classic` tells a caller that an e-mail address is taken, `private` answers alike. "
            "Default: `classic` in development, else `private`."
        )
    )
    registration_mode: Annotated[RegistrationMode, types.LowerCase] = Field(
        default=RegistrationMode.OPEN,
        description="Who may make an account: `open` anybody, `invite` with a code of `flask invites create`, `closed` nobody.",
    )

    passkey_rp_id: types.HostName | None = Field(
        default=None,
        description="The domain that passkeys are made for, shared by the API and its apps. Default: host of `PUBLIC_BASE_URL`.",
    )
    passkey_origins: types.PasskeyOrigins = Field(
        default=frozenset(),
        description=(
            "Who may use them: origins, and `android:apk-key-hash:…`. "
            "Default: `PUBLIC_BASE_URL`, `https://` and `PASSKEY_RP_ID`, `CORS_ORIGINS`."
        ),
    )

    database_url: types.PostgresUrl | None = Field(
        default=None,
        description="PostgreSQL 15 or newer. In development the default is an embedded server.",
    )
    database_pool_size: int = Field(default=10, ge=1, le=200, description="PostgreSQL connections of one process.")
    redis_url: types.RedisUrl | None = Field(
        default=None,
        description="Redis or Valkey. Without it limits are kept in PostgreSQL, as exact but slower.",
    )
    redis_timeout_ms: int = Field(
        default=100,
        ge=20,
        le=500,
        description="Milliseconds that one command of Redis may take; then the process asks PostgreSQL for a second.",
    )

    private_api_url: types.PrivateApiUrl = Field(
        description="The private prediction server. Plain http only to loopback and private networks."
    )
    private_api_path: types.UrlPath = Field(default="/predict", description="The path that predictions are posted to.")
    private_api_secret: types.PrivateServerSecret | None = Field(
        default=None, description="The key `k1` that signs requests to the private server; at least 32 bytes."
    )
    private_api_keys: types.PrivateServerKeysText | None = Field(
        default=None,
        description="In place of the one secret: `k2:msk_…,k1:msk_…`, each in base64. The first signs, all verify.",
    )
    private_api_verify_response: Annotated[ResponseVerification, types.LowerCase] = Field(
        description=(
            "`required`, `if_present` or `off`: whether the private server's answers must be signed. "
            "Default: `required` over http, else `if_present`."
        )
    )
    private_api_timeout: float = Field(
        default=30, gt=0, le=300, description="The longest that one prediction may take in all, in seconds."
    )

    web_concurrency: int = Field(
        ge=1,
        le=64,
        description="Web processes. Default: one per core, at most 4; in development 1.",
    )
    web_threads: int = Field(
        default=600,
        ge=4,
        le=4096,
        description="Threads of one web process; each request in progress holds one.",
    )
    web_waiting_per_address: int = Field(
        default=100,
        ge=8,
        le=1000,
        description=(
            "Connections of one address for whose request a web process waits; of more, the one that waits longest is "
            "closed. Requests in progress do not count."
        ),
    )
    predict_max_in_flight: int = Field(
        ge=1,
        description="Predictions in progress in one process; more get 503. Default: 7/8 of `WEB_THREADS`.",
    )

    rate_limit_general: bool = Field(
        default=True,
        description="`off` takes away the limit on requests a minute that each plan has. For tests and load tests.",
    )

    apple_client_ids: types.ClientIds = Field(
        default=frozenset(), description="Bundle and service ids that may sign in with Apple, separated by commas."
    )
    apple_keys_url: types.HttpUrl = Field(
        default="https://appleid.apple.com/auth/keys", description="Apple's public keys. For tests."
    )
    apple_sign_in_key_id: types.AppleKeyId | None = Field(
        default=None,
        description="The id of the Sign in with Apple key. With the three, deleting an account takes its sign-in back at Apple.",
    )
    apple_sign_in_team_id: types.AppleTeamId | None = Field(
        default=None, description="The team id of the developer account, ten characters."
    )
    apple_sign_in_private_key: types.AppleSigningKey | None = Field(
        default=None, description="The Sign in with Apple key: the content of its .p8 file."
    )
    apple_sign_in_url: types.BaseUrl = Field(
        default="https://appleid.apple.com", description="Apple's token endpoints. For tests and development."
    )
    google_client_ids: types.ClientIds = Field(
        default=frozenset(), description="OAuth client ids that may sign in with Google, separated by commas."
    )
    google_keys_url: types.HttpUrl = Field(
        default="https://www.googleapis.com/oauth2/v3/certs", description="Google's public keys. For tests."
    )

    email_host: types.HostName | None = Field(
        default=None, description="The SMTP server that sends letters. In development without it they become files."
    )
    email_port: int = Field(default=587, ge=1, le=65535, description="Its port; 465 speaks TLS from the first byte.")
    email_host_user: str | None = Field(default=None, description="The user name at the SMTP server.")
    email_host_password: SecretStr | None = Field(default=None, description="Its password.")
    email_use_tls: bool = Field(default=True, description="STARTTLS is required before anything is said.")
    default_from_email: types.Sender = Field(
        default="MirrorOS <no-reply@localhost>", description="Who letters come from: `Name <address>`."
    )
    email_folder: Path | None = Field(
        default=None, description="Development: letters are written here as files. Default there: `.data/mail`."
    )
    mail_box_url: types.HttpUrl | None = Field(
        default=None, description="Development: a page that shows the e-mails of `EMAIL_FOLDER`. `make run` sets it."
    )

    payment_grace_days: int = Field(
        default=7,
        ge=0,
        le=60,
        description="Days that access goes on after a payment failed, where the provider does not say so itself.",
    )
    stripe_secret_key: types.StripeKey | None = Field(default=None, description="Stripe's API key.")
    stripe_webhook_secret: types.StripeWebhookSecrets | None = Field(
        default=None,
        description="Verifies Stripe's webhooks; no endpoint without it. Two while it is changed: `whsec_…,whsec_…`.",
    )
    stripe_prices: types.ProductsText = Field(
        default="",
        description="What Stripe sells: `price:tier:cycle,…`. Without the cycle: no longer sold, holders keep the tier.",
    )
    stripe_trial_days: int = Field(
        default=0, ge=0, le=365, description="Days of free trial at Stripe, once for each user. 0 for none."
    )
    stripe_api_base: types.BaseUrl = Field(
        default="https://api.stripe.com", description="Stripe's API. For tests and development."
    )
    checkout_return_url: types.HttpUrl | None = Field(
        default=None,
        description="Where Stripe's pages lead back to when the app names no address. Default: plain pages of this API.",
    )
    checkout_origins: types.Origins = Field(
        default=frozenset(),
        description=(
            "Origins of apps that Stripe's pages may lead back to, separated by commas: `https://app.example.com`, or a "
            "scheme of the app's own, `mirroros://checkout`. Default: `CORS_ORIGINS`."
        ),
    )
    apple_bundle_id: types.AppleBundleId | None = Field(
        default=None, description="The app's bundle id. The routes of `/api/payments/apple` exist when it is set."
    )
    apple_app_id: int | None = Field(
        default=None, ge=1, lt=2**63, description="The app's Apple ID, a number in App Store Connect."
    )
    apple_products: types.ProductsText = Field(
        default="",
        description="What the App Store sells: `product:tier:cycle,…`. Without the cycle: no longer sold, holders keep the tier.",
    )
    apple_shared_secret: types.AppleSharedSecret | None = Field(
        default=None, description="App Store Connect's shared secret, for receipts of StoreKit 1."
    )
    apple_api_key_id: types.AppleKeyId | None = Field(
        default=None, description="The id of the In-App Purchase key. With it subscriptions are reconciled."
    )
    apple_api_issuer_id: types.AppleIssuerId | None = Field(
        default=None, description="The issuer id beside the In-App Purchase keys."
    )
    apple_api_private_key: types.AppleSigningKey | None = Field(
        default=None, description="The In-App Purchase key: the content of its .p8 file."
    )
    apple_online_checks: bool = Field(
        default=True, description="Ask Apple whether the certificates under signed data were revoked (OCSP)."
    )
    apple_sandbox_accounts: types.EmailKeys = Field(
        default=frozenset(),
        description="Accounts (e-mail addresses) whose sandbox purchases count in production for a day: App Review's.",
    )
    apple_root_certificate: FilePath | None = Field(
        default=None, description="A root certificate (DER) in place of Apple's. For tests."
    )
    apple_production_url: types.BaseUrl | None = Field(
        default=None, description="An App Store in place of Apple's. For tests."
    )
    apple_sandbox_url: types.BaseUrl | None = Field(default=None, description="As above, for the App Store's sandbox.")

    log_level: Annotated[LogLevel, types.UpperCase] = Field(
        description="`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`. Default `INFO`, in staging `DEBUG`."
    )
    sentry_dsn: types.SentryDsn | None = Field(
        default=None, description="Where unexpected errors are reported. Without it nothing is sent."
    )

    @property
    def is_development(self) -> bool:
        return self.flask_env is Environment.DEVELOPMENT

    @property
    def access_keys(self) -> AccessKeyRing:
        if self.jwt_keys is not None:
            return AccessKeyRing.read(self.jwt_keys.get_secret_value())
        return AccessKeyRing([SigningKey("k1", self._key(self.jwt_secret_key, "mirroros access tokens v1"))])

    @property
    def private_server_keys(self) -> PrivateServerKeys:
        secret, keys = self.private_api_secret, self.private_api_keys
        return PrivateServerKeys.from_settings(
            secret=None if secret is None else secret.get_secret_value(),
            keys=None if keys is None else keys.get_secret_value(),
        )

    @property
    def refresh_key(self) -> bytes:
        return self._key(self.refresh_token_key, "mirroros refresh tokens v1")

    @property
    def pepper(self) -> bytes | None:
        return None if self.password_pepper is None else types.key_bytes(self.password_pepper.get_secret_value())

    @property
    def data_key_ring(self) -> dict[str, bytes]:
        """The current key first. The derived one stays, so that `DATA_KEYS` can be set later."""
        text = "" if self.data_keys is None else self.data_keys.get_secret_value()
        named = {name: types.key_bytes(key) for name, key in types.named_keys(text).items()} if text else {}
        return {**named, DERIVED_DATA_KEY: self._key(None, "mirroros data keys v1")}

    @property
    def passkey_domain(self) -> str:
        return self.passkey_rp_id or urlsplit(self.public_base_url).hostname or "localhost"

    @property
    def accepted_passkey_origins(self) -> frozenset[str]:
        """Apps on iOS call themselves by https and the domain."""
        own = types.origin_of(self.public_base_url)
        return self.passkey_origins or self.web_origins | {own, f"https://{self.passkey_domain}"}

    @property
    def web_origins(self) -> frozenset[str]:
        """Pages that may keep a refresh token in a cookie. Hybrid apps keep theirs themselves."""
        return types.web_origins(self.cors_origins)

    def _key(self, own: SecretStr | None, label: str) -> bytes:
        if own is not None:
            return types.key_bytes(own.get_secret_value())
        return derived_key(self.secret_key.get_secret_value().encode(), label)

    @property
    def accepted_hosts(self) -> frozenset[str]:
        """What the `Host` header may name; empty for anything.

        Loopback is where the container's own health check asks.
        """
        if self.is_development and not self.trusted_hosts:
            return frozenset()
        named = self.trusted_hosts or {urlsplit(self.public_base_url).hostname or ""}
        return frozenset(named) | {"127.0.0.1", "localhost", RAILWAY_HEALTH_CHECK_HOST}

    @property
    def redirect_origins(self) -> frozenset[str]:
        """Where a browser may be led from here."""
        return self.checkout_origins or self.cors_origins

    @property
    def require_https(self) -> bool:
        return not self.is_development

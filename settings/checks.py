"""What a server outside development refuses to start with.

Each rule yields the variable and a reason without its value.
"""

from collections.abc import Iterator
from itertools import combinations
from urllib.parse import urlsplit

from pydantic import SecretStr

from settings.model import DERIVED_DATA_KEY, RegistrationResponse, ResponseVerification, Settings
from settings.private_hosts import is_private_host
from settings.secret_strength import weakness_of
from settings.types import named_keys

Problem = tuple[str, str]


def unsafe_settings(settings: Settings) -> Iterator[Problem]:
    """Contradictions, which are refused everywhere, then what only a developer's machine may have."""
    yield from _contradictions(settings)
    if settings.is_development:
        return
    yield from _weak_secrets(settings)
    yield from _equal_secrets(settings)
    yield from _open_doors(settings)
    yield from _private_server_in_the_clear(settings)
    yield from _mail(settings)
    if settings.stripe_secret_key is not None and settings.stripe_webhook_secret is None:
        yield "STRIPE_WEBHOOK_SECRET", "must be set as well, or nobody learns of payments"
    if settings.database_url is None:
        yield "DATABASE_URL", "must be set: the embedded server is for development"


def secrets_of(settings: Settings) -> dict[str, str]:
    """Every secret of our own that is set, with the variable's name.

    Keys of a ring are named with their id.
    """
    named = {
        "SECRET_KEY": settings.secret_key,
        "JWT_SECRET_KEY": settings.jwt_secret_key,
        "REFRESH_TOKEN_KEY": settings.refresh_token_key,
        "PASSWORD_PEPPER": settings.password_pepper,
        "PRIVATE_API_SECRET": settings.private_api_secret,
    }
    texts = {name: value.get_secret_value() for name, value in named.items() if isinstance(value, SecretStr)}
    if settings.private_api_keys is not None:
        ring = named_keys(settings.private_api_keys.get_secret_value())
        texts |= {f"PRIVATE_API_KEYS ({key_id})": key for key_id, key in ring.items()}
    if settings.data_keys is not None:
        ring = named_keys(settings.data_keys.get_secret_value())
        texts |= {f"DATA_KEYS ({key_id})": key for key_id, key in ring.items()}
    if settings.jwt_keys is not None:
        keys = settings.access_keys.keys
        texts |= {f"JWT_KEYS ({key.key_id})": key.text().rpartition(":")[2] for key in keys}
    return texts


def _contradictions(settings: Settings) -> Iterator[Problem]:
    if settings.predict_max_in_flight >= settings.web_threads:
        yield "PREDICT_MAX_IN_FLIGHT", "must be below WEB_THREADS, or predictions can hold every thread"
    if settings.jwt_keys is not None and settings.jwt_secret_key is not None:
        yield "JWT_KEYS", "is set beside JWT_SECRET_KEY; keep one of them"
    if settings.data_keys is not None and DERIVED_DATA_KEY in named_keys(settings.data_keys.get_secret_value()):
        yield "DATA_KEYS", f"must not use the id {DERIVED_DATA_KEY}, which the key derived from SECRET_KEY has"
    if settings.private_api_secret is None and settings.private_api_keys is None:
        yield "PRIVATE_API_SECRET", "must be set, or PRIVATE_API_KEYS"
    if settings.private_api_secret is not None and settings.private_api_keys is not None:
        yield "PRIVATE_API_KEYS", "is set beside PRIVATE_API_SECRET; keep one of them"
    yield from _halves_of_apple(settings)
    if settings.stripe_secret_key is None:
        for name, value in (
            ("STRIPE_WEBHOOK_SECRET", settings.stripe_webhook_secret),
            ("STRIPE_PRICES", settings.stripe_prices),
        ):
            if value:
                yield name, "does nothing without STRIPE_SECRET_KEY"


def _halves_of_apple(settings: Settings) -> Iterator[Problem]:
    app = {"APPLE_BUNDLE_ID": settings.apple_bundle_id, "APPLE_APP_ID": settings.apple_app_id}
    key = {
        "APPLE_API_KEY_ID": settings.apple_api_key_id,
        "APPLE_API_ISSUER_ID": settings.apple_api_issuer_id,
        "APPLE_API_PRIVATE_KEY": settings.apple_api_private_key,
    }
    sign_in = {
        "APPLE_SIGN_IN_KEY_ID": settings.apple_sign_in_key_id,
        "APPLE_SIGN_IN_TEAM_ID": settings.apple_sign_in_team_id,
        "APPLE_SIGN_IN_PRIVATE_KEY": settings.apple_sign_in_private_key,
    }
    for whole in ({**app, "APPLE_PRODUCTS": settings.apple_products or None}, key, sign_in):
        missing = [name for name, value in whole.items() if value is None]
        if missing and len(missing) < len(whole):
            for name in missing:
                yield name, f"must be set as well, like {', '.join(sorted(whole.keys() - set(missing)))}"
    if settings.apple_sign_in_private_key is not None and not settings.apple_client_ids:
        yield "APPLE_CLIENT_IDS", "must be set as well, like APPLE_SIGN_IN_PRIVATE_KEY"


def _weak_secrets(settings: Settings) -> Iterator[Problem]:
    for name, secret in secrets_of(settings).items():
        weakness = weakness_of(secret)
        if weakness is not None:
            yield name, weakness


def _equal_secrets(settings: Settings) -> Iterator[Problem]:
    for (first, one), (second, other) in combinations(secrets_of(settings).items(), 2):
        if one == other:
            yield second, f"is equal to {first}; every secret needs its own value"


def _open_doors(settings: Settings) -> Iterator[Problem]:
    if settings.flask_debug:
        yield "FLASK_DEBUG", "must be off: the debugger runs any code for anyone"
    if any(origin.startswith("http://") for origin in settings.passkey_origins):
        yield "PASSKEY_ORIGINS", "must begin with https:// or android:"
    if urlsplit(settings.public_base_url).scheme != "https":
        yield "PUBLIC_BASE_URL", "must begin with https://"
    for name, url in (("APPLE_KEYS_URL", settings.apple_keys_url), ("GOOGLE_KEYS_URL", settings.google_keys_url)):
        if url != Settings.model_fields[name.lower()].default:
            yield name, "must be left unset: whoever serves these keys can sign in as anybody"
    if settings.apple_sign_in_url != Settings.model_fields["apple_sign_in_url"].default:
        yield "APPLE_SIGN_IN_URL", "must be left unset: whoever answers there is handed what Apple gave your users"
    if settings.stripe_api_base != Settings.model_fields["stripe_api_base"].default:
        yield "STRIPE_API_BASE", "must be left unset: whoever answers there says who has paid"
    if urlsplit(settings.checkout_return_url or "https:").scheme != "https":
        yield "CHECKOUT_RETURN_URL", "must begin with https://"
    if any(urlsplit(origin).scheme == "http" for origin in settings.checkout_origins):
        yield "CHECKOUT_ORIGINS", "must begin with https:// or a scheme of the app's own"
    for name in ("apple_root_certificate", "apple_production_url", "apple_sandbox_url"):
        if getattr(settings, name) is not None:
            yield name.upper(), "must be left unset: whoever signs for that App Store can buy for nothing"
    if settings.bcrypt_cost < 10:
        yield "BCRYPT_COST", "must be at least 10"


def _mail(settings: Settings) -> Iterator[Problem]:
    if settings.email_folder is not None:
        yield "EMAIL_FOLDER", "is for development; set EMAIL_HOST"
    if settings.mail_box_url is not None:
        yield "MAIL_BOX_URL", "is for development: the home page links to it"
    if settings.email_host is None:
        if settings.registration_response is RegistrationResponse.PRIVATE:
            yield "EMAIL_HOST", "must be set, or REGISTRATION_RESPONSE=classic: a private registration goes on by mail"
        return
    if settings.default_from_email == Settings.model_fields["default_from_email"].default:
        yield "DEFAULT_FROM_EMAIL", "must be set: an address that your mail server may send from"
    if not settings.email_use_tls and not is_private_host(settings.email_host):
        yield "EMAIL_USE_TLS", "must be on: letters hold links that open accounts"


def _private_server_in_the_clear(settings: Settings) -> Iterator[Problem]:
    """Over plain http nothing but the signature tells the private server's answer from a stranger's."""
    parts = urlsplit(settings.private_api_url)
    if parts.scheme == "https":
        return
    if not is_private_host(parts.hostname or ""):
        yield "PRIVATE_API_URL", "must begin with https:// except on loopback and private networks, the link's addresses left out"
    if settings.private_api_verify_response is not ResponseVerification.REQUIRED:
        yield "PRIVATE_API_VERIFY_RESPONSE", "must be required when PRIVATE_API_URL is plain http"

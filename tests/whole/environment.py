"""The environment of a production server on loopback, in which everything but the addresses is what operators set."""

import secrets

from capabilities import CAPABILITIES
from examples.private_server.mirror_verifier import Keys
from examples.private_server.server import PrivateServer
from sandbox.ai_server.server import AIServer
from sandbox.stripe_server.development_prices import PRICES_SETTING
from sandbox.stripe_server.server import StripeServer

PRIVATE_KEY = secrets.token_urlsafe(48)
NEED_STRIPE = {"shop"}
"""Products that are off until Stripe is set up."""
PUBLIC_HOST = "api.example.com"
WEB_ORIGIN = "https://app.example.com"


ALL = ",".join(each.name for each in CAPABILITIES)
EVERYTHING = {
    "CAPABILITIES": ALL,
    "SECURITY_CONTACT": "mailto:security@example.com",
    "STRIPE_SECRET_KEY": f"sk_live_{'a1B2c3D4' * 4}",
    "STRIPE_WEBHOOK_SECRET": f"whsec_{'a1B2c3D4' * 5}",
    "STRIPE_PRICES": "price_1Pro:pro:monthly",
    "APPLE_BUNDLE_ID": "com.example.app",
    "APPLE_APP_ID": "1",
    "APPLE_PRODUCTS": "com.example.app.pro:pro:monthly",
    "APPLE_CLIENT_IDS": "com.example.app",
    "GOOGLE_CLIENT_IDS": "1-app.apps.googleusercontent.com",
}
"""Switches on every route, for whoever looks at the routes alone."""


def private_server() -> PrivateServer:
    """A reference private server that has the key of `production_environment`."""
    return PrivateServer(Keys({"k1": PRIVATE_KEY.encode()}), test_switches=True)


def stripe_environment(stripe: StripeServer) -> dict[str, str]:
    """What makes a development server buy from this stand-in. Production takes Stripe's own address alone."""
    return {
        "CAPABILITIES": ALL,
        "STRIPE_SECRET_KEY": stripe.secret_key,
        "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
        "STRIPE_API_BASE": stripe.url,
        "STRIPE_PRICES": PRICES_SETTING,
    }


def ai_environment(ai: AIServer) -> dict[str, str]:
    """What makes a server ask this stand-in instead of OpenAI and OpenRouter."""
    return {
        "OPENAI_API_KEY": ai.keys["openai"],
        "OPENAI_BASE_URL": ai.base_url("openai"),
        "OPENROUTER_BASE_URL": ai.base_url("openrouter"),
    }


def production_environment(database_url: str, private_url: str, redis_url: str | None = None) -> dict[str, str]:
    """`REGISTRATION_RESPONSE` is classic, because without mail a private registration leads nowhere."""
    environ = {
        "FLASK_ENV": "production",
        "CAPABILITIES": ",".join(each.name for each in CAPABILITIES if each.name not in NEED_STRIPE),
        "SECRET_KEY": secrets.token_urlsafe(48),
        "PUBLIC_BASE_URL": f"https://{PUBLIC_HOST}",
        "CORS_ORIGINS": WEB_ORIGIN,
        "TRUSTED_PROXY_HOPS": "1",
        "DATABASE_URL": database_url,
        "PRIVATE_API_URL": private_url,
        "PRIVATE_API_SECRET": PRIVATE_KEY,
        "PRIVATE_API_TIMEOUT": "5",
        "OPENAI_API_KEY": f"sk-proj-{secrets.token_hex(20)}",
        "OPENAI_BASE_URL": "http://127.0.0.1:1",  # nobody is there
        "OPENROUTER_BASE_URL": "http://127.0.0.1:1",
        "REGISTRATION_RESPONSE": "classic",
        "BCRYPT_COST": "10",
        "RATE_LIMIT_GENERAL": "off",
        "COMPAT_ROUTES": "off",  # the same views; tests/test_compat.py has them
        "REDIS_TIMEOUT_MS": "500",  # on a busy machine Redis may wait longer than the default for a processor
    }
    return environ if redis_url is None else {**environ, "REDIS_URL": redis_url}

"""`flask config check` and `flask config show`: the verdict on the settings without starting a server."""

import os

import click
from pydantic import SecretStr

from config import SettingsInvalid, exit_for, load_settings, load_settings_or_exit
from settings.model import Environment, Settings


@click.group("config")
def config_commands() -> None:
    """Check and show the settings."""


@config_commands.command("check")
@click.option(
    "--for",
    "environment",
    type=click.Choice([str(environment) for environment in Environment]),
    help="Judge the variables as this environment would, without changing FLASK_ENV.",
)
def check(environment: str | None) -> None:
    """Say whether the settings are acceptable, and what an operator would want to know besides."""
    try:
        settings = load_settings({**os.environ, "FLASK_ENV": environment}) if environment else load_settings()
    except SettingsInvalid as refusal:
        exit_for(refusal)
    click.echo(f"The settings are acceptable for {settings.flask_env}.")
    for remark in remarks_on(settings):
        click.echo(f"  note: {remark}")


@config_commands.command("show")
def show() -> None:
    """Print every setting; secrets only as set or not set."""
    for name, text in shown(load_settings_or_exit()).items():
        click.echo(f"{name}={text}")


@config_commands.command("document")
def document() -> None:
    """Print the table of all settings that stands in docs/configuration.md."""
    click.echo(settings_table())


def settings_table() -> str:
    """One row per variable, made from the fields themselves."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "" if field.is_required() or not _shown(field.default) else f"`{_shown(field.default)}`"
        rows.append(f"| `{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def remarks_on(settings: Settings) -> list[str]:
    """What is allowed and yet is seldom meant, outside development."""
    if settings.is_development:
        return []
    remarks = {
        "REDIS_URL is not set: limits are kept in PostgreSQL, as exact but slower.": settings.redis_url is None,
        "SENTRY_DSN is not set: unexpected errors are only in the logs.": settings.sentry_dsn is None,
        "EMAIL_HOST is not set: no address can be confirmed and no forgotten password reset.": (
            settings.email_host is None
        ),
        "CORS_ORIGINS is empty: no web app can call this API.": not settings.cors_origins,
        "TRUSTED_PROXY_HOPS is 0: right only when clients connect to this server directly.": (
            settings.trusted_proxy_hops == 0
        ),
        "APPLE_BUNDLE_ID is not set: the other settings of the App Store do nothing.": (
            settings.apple_bundle_id is None
            and (settings.apple_shared_secret is not None or settings.apple_api_private_key is not None)
        ),
        "APPLE_SIGN_IN_PRIVATE_KEY is not set: the App Store demands that deleting an account revokes Sign in with Apple.": (
            bool(settings.apple_client_ids) and settings.apple_sign_in_private_key is None
        ),
        "PASSWORD_PEPPER is not set: stolen password hashes can be attacked without it.": (
            settings.password_pepper is None
        ),
        "STRIPE_WEBHOOK_SECRET is not set: no webhook of Stripe is accepted.": settings.stripe_webhook_secret is None,
    }
    return [remark for remark, holds in remarks.items() if holds]


def shown(settings: Settings) -> dict[str, str]:
    """Variable to text that may be printed."""
    return {name.upper(): _shown(getattr(settings, name)) for name in type(settings).model_fields}


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    return str(value)

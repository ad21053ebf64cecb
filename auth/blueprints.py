"""Every route and command of accounts."""

from collections.abc import Sequence

import click
from flask import Blueprint

from auth.accounts.routes import profile_routes
from auth.api_keys.routes import api_key_routes
from auth.assembly import Auth
from auth.audit.routes import event_routes
from auth.email.pages import account_pages
from auth.email.routes import email_routes
from auth.exports.routes import export_routes
from auth.identity_providers.id_token import APPLE, GOOGLE, IdTokens
from auth.identity_providers.jwks import ProviderKeys
from auth.identity_providers.routes import identity_routes, provider_routes
from auth.impersonation.routes import impersonation_routes
from auth.invites.commands import invite_commands
from auth.invites.routes import invite_routes
from auth.mail.commands import email_commands
from auth.operators.accounts import SetTier
from auth.operators.commands import user_commands
from auth.operators.demo import Demo, demo_command
from auth.passwords.routes import password_routes
from auth.routes import auth_routes
from auth.second_factor.passkeys.routes import passkey_routes
from auth.second_factor.routes import second_factor_routes
from auth.sessions.routes import session_routes
from auth.settings import AuthSections
from auth.tokens.commands import key_commands
from auth.tokens.jwks_routes import jwks_routes


def auth_blueprints(auth: Auth, settings: AuthSections) -> list[Blueprint]:
    auth = auth.of_account_calls
    return [
        auth_routes(auth),
        api_key_routes(auth),
        event_routes(auth),
        invite_routes(auth),
        impersonation_routes(auth),
        session_routes(auth),
        password_routes(auth),
        profile_routes(auth),
        export_routes(auth),
        email_routes(auth),
        account_pages(),
        jwks_routes(settings.access_keys),
        provider_routes(auth, identity_providers(auth, settings)),
        identity_routes(auth),
        second_factor_routes(auth),
        passkey_routes(auth),
    ]


def auth_commands(
    auth: Auth, settings: AuthSections, set_tier: SetTier, demos: Sequence[Demo] = ()
) -> Sequence[click.Command]:
    """`set_tier` is what payments do when an operator gives somebody a tier. `demos`: what products add to the demonstration."""
    users = user_commands(auth, set_tier)
    return (
        key_commands(settings.access_keys),
        invite_commands(auth),
        users,
        users.commands["create-admin"],  # also without its group
        email_commands(auth.clock),
        demo_command(auth, settings.flask_env, demos),
    )


def identity_providers(auth: Auth, settings: AuthSections) -> list[IdTokens]:
    """Those that have an audience."""
    offered = (
        (APPLE, settings.apple_client_ids, settings.apple_keys_url),
        (GOOGLE, settings.google_client_ids, settings.google_keys_url),
    )
    return [
        IdTokens(provider, audiences, ProviderKeys(url, auth.clock), auth.clock)
        for provider, audiences, url in offered
        if audiences
    ]

"""All settings of accounts."""

from auth.accounts.settings import AccountsSection
from auth.identity_providers.settings import IdentityProvidersSection
from auth.second_factor.passkeys.settings import PasskeysSection
from settings.web_server import WebServerSection


class AuthSections(IdentityProvidersSection, PasskeysSection, AccountsSection, WebServerSection):
    """Of the web server because all its processes share the cores for hashing passwords."""

"""All settings of accounts."""

from auth.accounts.settings import AccountsSection
from auth.identity_providers.settings import IdentityProvidersSection
from auth.mail.settings import MailSection
from auth.second_factor.passkeys.settings import PasskeysSection
from settings.web_server import WebServerSection


class AuthSections(MailSection, IdentityProvidersSection, PasskeysSection, AccountsSection, WebServerSection):
    """Of the web server because all its processes share the cores for hashing passwords."""

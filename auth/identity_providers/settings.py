"""The settings of signing in with Apple and with Google."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from auth.apple_tokens.settings import AppleTokensSection
from settings import types
from settings.section import Complaint


class IdentityProvidersSection(AppleTokensSection):
    title: ClassVar = "Sign in with Apple and Google"

    apple_client_ids: types.Names = Field(default=frozenset(), examples=["com.example.app"])
    """The bundle and service ids of your apps that use Sign in with Apple, separated by commas."""
    apple_keys_url: types.HttpUrl = "https://appleid.apple.com/auth/keys"
    """The address of Apple's public keys. For tests."""
    google_client_ids: types.Names = Field(default=frozenset(), examples=["1234567890-abc.apps.googleusercontent.com"])
    """The OAuth client ids of your apps that use Google sign-in, separated by commas."""
    google_keys_url: types.HttpUrl = "https://www.googleapis.com/oauth2/v3/certs"
    """The address of Google's public keys. For tests."""

    def contradictions(self) -> Iterator[Complaint]:
        if self.apple_sign_in_private_key is not None and not self.apple_client_ids:
            yield "APPLE_CLIENT_IDS", "must be set as well, like APPLE_SIGN_IN_PRIVATE_KEY"

    def unsafe(self) -> Iterator[Complaint]:
        own = IdentityProvidersSection.model_fields
        for name in ("apple_keys_url", "google_keys_url"):
            if getattr(self, name) != own[name].default:
                yield name.upper(), "must not be set: the server at this address could sign in as anyone"

    def switched_off(self) -> dict[str, str]:
        offered = {"apple": self.apple_client_ids, "google": self.google_client_ids}
        return {
            f"/api/auth/{path}": f"{provider.upper()}_CLIENT_IDS"
            for provider, client_ids in offered.items()
            if not client_ids
            for path in (provider, f"identities/{provider}")
        }

    def remarks(self) -> Iterator[str]:
        if self.apple_client_ids and self.apple_sign_in_private_key is None:
            yield (
                "APPLE_SIGN_IN_PRIVATE_KEY is not set: the App Store requires that deleting an account revokes Sign in with Apple."
            )

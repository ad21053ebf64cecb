"""The key for Sign in with Apple, with which a sign-in is taken back at Apple when its account is deleted."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from settings import types
from settings.process import ProcessSection
from settings.section import Complaint, set_beside

AppleTeamId = Annotated[str, AfterValidator(types.matching(r"[A-Z0-9]{10}", "must be the team's ten characters"))]


class AppleTokensSection(ProcessSection):
    title: ClassVar = "Revoking Sign in with Apple"

    apple_sign_in_key_id: types.AppleKeyId | None = None
    """The id of the Sign in with Apple key. With this and the next two, deleting an account revokes its sign-in at Apple."""
    apple_sign_in_team_id: AppleTeamId | None = None
    """The team id of your Apple developer account, ten characters."""
    apple_sign_in_private_key: types.AppleSigningKey | None = None
    """The Sign in with Apple key: the content of its .p8 file, with `\\n` for line breaks."""
    apple_sign_in_url: types.BaseUrl = "https://appleid.apple.com"
    """The address of Apple's token endpoints. For tests and development."""

    def contradictions(self) -> Iterator[Complaint]:
        yield from set_beside(self, "apple_sign_in_key_id", "apple_sign_in_team_id", "apple_sign_in_private_key")

    def unsafe(self) -> Iterator[Complaint]:
        if self.apple_sign_in_url != AppleTokensSection.model_fields["apple_sign_in_url"].default:
            yield "APPLE_SIGN_IN_URL", "must not be set: the server at this address would receive your users' codes from Apple"

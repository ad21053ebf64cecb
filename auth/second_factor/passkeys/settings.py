"""The settings of passkeys: which domain they are made for, and who may use them."""

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from settings import types
from settings.process import ProcessSection
from settings.section import Complaint


def _passkey_origin(text: str) -> str:
    """A web origin, or an Android app by the SHA-256 of its signing certificate in base64url."""
    if text.startswith("android:"):
        if re.fullmatch(r"android:apk-key-hash:[A-Za-z0-9_-]{43}", text) is None:
            raise ValueError("must name an Android app as android:apk-key-hash: and 43 characters of base64url")
        return text
    return types.origin_of(text)


PasskeyOrigins = Annotated[frozenset[Annotated[str, AfterValidator(_passkey_origin)]], types.COMMA_LIST]


class PasskeysSection(ProcessSection):
    title: ClassVar = "Passkeys"

    passkey_rp_id: types.HostName | None = Field(default=None, examples=["example.com"])
    """The domain that passkeys belong to, shared by the API and its apps. Default: the host of `PUBLIC_BASE_URL`."""
    passkey_origins: PasskeyOrigins = Field(
        default=frozenset(),
        examples=["https://app.example.com,android:apk-key-hash:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"],
    )
    """The origins and Android apps (`android:apk-key-hash:…`) that can use passkeys. Default: `PUBLIC_BASE_URL`,
    `https://` with `PASSKEY_RP_ID`, and `CORS_ORIGINS`."""

    def unsafe(self) -> Iterator[Complaint]:
        if any(origin.startswith("http://") for origin in self.passkey_origins):
            yield "PASSKEY_ORIGINS", "must begin with https:// or android:"

    @property
    def passkey_domain(self) -> str:
        return self.passkey_rp_id or urlsplit(self.public_base_url).hostname or "localhost"

    @property
    def accepted_passkey_origins(self) -> frozenset[str]:
        """Apps on iOS call themselves by https and the domain."""
        own = types.origin_of(self.public_base_url)
        return self.passkey_origins or self.web_origins | {own, f"https://{self.passkey_domain}"}

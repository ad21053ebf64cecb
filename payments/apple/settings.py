"""The settings of one app of the App Store."""

import uuid
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, FilePath, SecretStr

from auth.email_address import parse_email
from payments.billing.settings import ProductsText
from settings import types
from settings.process import ProcessSection
from settings.section import Complaint, set_beside


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("must be a UUID") from None


def _email_key(text: str) -> str:
    try:
        return parse_email(text).key
    except ValueError:
        raise ValueError("must be e-mail addresses, separated by commas") from None


AppleSharedSecret = Annotated[
    SecretStr, types.readable(types.matching(r"[0-9A-Fa-f]{32}", "must be 32 hexadecimal digits"))
]
AppleBundleId = Annotated[
    str, AfterValidator(types.matching(r"[A-Za-z0-9.-]{1,155}", "must be a bundle id such as com.example.app"))
]
EmailKeys = Annotated[frozenset[Annotated[str, AfterValidator(_email_key)]], types.COMMA_LIST]


class AppStoreSection(ProcessSection):
    title: ClassVar = "App Store"

    apple_bundle_id: AppleBundleId | None = Field(default=None, examples=["com.example.app"])
    """Your app's bundle id. Set it to turn on the routes of `/api/payments/apple`."""
    apple_app_id: int | None = Field(default=None, ge=1, lt=2**63, examples=["1234567890"])
    """Your app's Apple ID, a number in App Store Connect."""
    apple_products: ProductsText = Field(
        default="", examples=["com.example.app.pro.monthly:pro:monthly,com.example.app.pro.yearly:pro:yearly"]
    )
    """What the App Store sells: `product:tier:cycle,…`. Leave out the cycle of a product that is no longer sold; users
    who have it keep the tier."""
    apple_shared_secret: AppleSharedSecret | None = None
    """The shared secret from App Store Connect, for StoreKit 1 receipts."""
    apple_api_key_id: types.AppleKeyId | None = None
    """The id of the In-App Purchase key. With this key, subscriptions are reconciled every hour."""
    apple_api_issuer_id: Annotated[str, AfterValidator(_uuid)] | None = None
    """The issuer id, shown above the In-App Purchase keys."""
    apple_api_private_key: types.AppleSigningKey | None = None
    """The In-App Purchase key: the content of its .p8 file, with `\\n` for line breaks."""
    apple_online_checks: bool = True
    """Ask Apple whether the certificates of signed data were revoked (OCSP)."""
    apple_sandbox_accounts: EmailKeys = Field(default=frozenset(), examples=["review@example.com"])
    """The e-mail addresses of accounts whose sandbox purchases count in production for a day. For App Review."""
    apple_root_certificate: FilePath | None = None
    """A root certificate (DER) instead of Apple's. For tests."""
    apple_production_url: types.BaseUrl | None = None
    """The address of an App Store instead of Apple's. For tests."""
    apple_sandbox_url: types.BaseUrl | None = None
    """The same for the App Store's sandbox."""

    def contradictions(self) -> Iterator[Complaint]:
        yield from set_beside(self, "apple_bundle_id", "apple_app_id", "apple_products")
        yield from set_beside(self, "apple_api_key_id", "apple_api_issuer_id", "apple_api_private_key")

    def unsafe(self) -> Iterator[Complaint]:
        for name in ("apple_root_certificate", "apple_production_url", "apple_sandbox_url"):
            if getattr(self, name) is not None:
                yield name.upper(), "must not be set: whoever signs for that App Store could buy for free"

    def switched_off(self) -> dict[str, str]:
        return {} if self.apple_bundle_id else {"/api/payments/apple": "APPLE_BUNDLE_ID"}

    def remarks(self) -> Iterator[str]:
        if self.apple_bundle_id is None and (self.apple_shared_secret or self.apple_api_private_key):
            yield "APPLE_BUNDLE_ID is not set: the other App Store settings have no effect."

"""The one place that speaks to Apple's library: verifying what Apple signed, and asking the App Store Server API.

The library checks signature, bundle and environment. It does not check that a subscription is running or was refunded, nor
the data inside a notification: the first is judged in payments/apple/facts.py, the second is verified here.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

import jwt
import requests
from appstoreserverlibrary.api_client import APIError, APIException, AppStoreServerAPIClient
from appstoreserverlibrary.models.AutoRenewStatus import AutoRenewStatus
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.models.InAppOwnershipType import InAppOwnershipType
from appstoreserverlibrary.models.JWSRenewalInfoDecodedPayload import JWSRenewalInfoDecodedPayload
from appstoreserverlibrary.models.JWSTransactionDecodedPayload import JWSTransactionDecodedPayload
from appstoreserverlibrary.models.NotificationHistoryRequest import NotificationHistoryRequest
from appstoreserverlibrary.models.OfferDiscountType import OfferDiscountType
from appstoreserverlibrary.models.ResponseBodyV2DecodedPayload import ResponseBodyV2DecodedPayload
from appstoreserverlibrary.receipt_utility import ReceiptUtility
from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier, VerificationException, VerificationStatus

from payments.apple.purchase import (
    AppleEnvironment,
    AppleNotification,
    ApplePurchase,
    AppleRenewal,
    AppleTransaction,
    milliseconds,
    moment,
)

APPLE_ROOT: Final = Path(__file__).with_name("AppleRootCA-G3.der")
APPLE_ROOT_SHA256: Final = "63343abfb89a6a03ebb57e9b3f5fa7be7c4f5c756f3017b3a8c488c3653e9179"
"""Apple Root CA - G3, as Apple publishes it at apple.com/certificateauthority."""

LONGEST_SIGNED_DATA: Final = 100_000
"""Characters. A signed notification with everything inside it has some twenty thousand."""

TIMEOUT: Final = (3.05, 10.0)
"""Seconds to connect and to wait for each byte. The library's own is 30."""

TRANSACTION_NOT_FOUND: Final = frozenset(
    {
        APIError.TRANSACTION_ID_NOT_FOUND,
        APIError.ORIGINAL_TRANSACTION_ID_NOT_FOUND,
        APIError.ACCOUNT_NOT_FOUND,
        APIError.INVALID_TRANSACTION_ID,
        APIError.INVALID_ORIGINAL_TRANSACTION_ID,
    }
)
PAGE_TOKEN_REFUSED: Final = frozenset({APIError.INVALID_PAGINATION_TOKEN, APIError.PAGINATION_TOKEN_EXPIRED})

ENVIRONMENTS: Final = {
    AppleEnvironment.PRODUCTION: Environment.PRODUCTION,
    AppleEnvironment.SANDBOX: Environment.SANDBOX,
}

Decoded = TypeVar("Decoded")
Verifiers = Mapping[AppleEnvironment, SignedDataVerifier]


class SignedDataForged(Exception):
    """Not signed by Apple, or not for this app, or not for the App Store. Says why; never quotes the data."""


class AppleUnavailable(Exception):
    """Apple gives no answer to this question now. Nothing follows from that about any purchase."""


class AppleOutOfReach(AppleUnavailable):
    """The next question would fare no better, whatever it is about."""


class AppleRefusesUs(AppleOutOfReach):
    """Apple does not accept our key. An operator has to act."""


class TransactionUnknown(LookupError):
    """This environment of the App Store has no such transaction."""


class PageTokenRefused(LookupError):
    """The list has to be read from its beginning again."""


class RootCertificateChanged(ValueError):
    """The certificate that came with this package is not the one that was pinned."""


def apple_root_certificate() -> bytes:
    """In DER. Raises RootCertificateChanged."""
    certificate = APPLE_ROOT.read_bytes()
    if hashlib.sha256(certificate).hexdigest() != APPLE_ROOT_SHA256:
        raise RootCertificateChanged(APPLE_ROOT.name)
    return certificate


class SignedData:
    """Reads what Apple signed, of both environments, production first. Raises SignedDataForged, AppleUnavailable."""

    def __init__(self, verifiers: Verifiers) -> None:
        self._verifiers = verifiers

    def transaction(self, signed: str) -> AppleTransaction:
        environment, decoded = _decode(
            self._verifiers, signed, lambda one: one.verify_and_decode_signed_transaction(signed)
        )
        return read_transaction(decoded, environment)

    def purchase(self, signed_transaction: str, signed_renewal: str | None) -> ApplePurchase:
        transaction = self.transaction(signed_transaction)
        if signed_renewal is None:
            return ApplePurchase(transaction)
        environment, decoded = _decode(
            self._verifiers, signed_renewal, lambda one: one.verify_and_decode_renewal_info(signed_renewal)
        )
        renewal = read_renewal(decoded)
        if environment is not transaction.environment or renewal.original_id != transaction.original_id:
            raise SignedDataForged("transaction and renewal do not belong together")
        return ApplePurchase(transaction, renewal)

    def notification(self, signed: str) -> AppleNotification:
        """With everything that is signed inside it."""
        environment, decoded = _decode(self._verifiers, signed, lambda one: one.verify_and_decode_notification(signed))
        inside = decoded.data
        purchase = None
        if inside is not None and inside.signedTransactionInfo is not None:
            purchase = self.purchase(inside.signedTransactionInfo, inside.signedRenewalInfo)
            if purchase.transaction.environment is not environment:
                raise SignedDataForged("notification and transaction do not belong together")
        return read_notification(decoded, environment, purchase)


class AppleSignatures(SignedData):
    """Verifies signed data. `online_checks` asks Apple whether the certificates were revoked (OCSP) and judges them at the
    present time.
    """

    def __init__(
        self, *, bundle_id: str, app_apple_id: int, root_certificate: bytes | None = None, online_checks: bool = True
    ) -> None:
        """`root_certificate` replaces Apple's in tests. Raises RootCertificateChanged."""
        roots = [apple_root_certificate() if root_certificate is None else root_certificate]
        app = (bundle_id, app_apple_id)
        super().__init__(
            {ours: SignedDataVerifier(roots, online_checks, theirs, *app) for ours, theirs in ENVIRONMENTS.items()}
        )
        self.stored = SignedData({ours: _Reader(roots, False, theirs, *app) for ours, theirs in ENVIRONMENTS.items()})
        """For what was verified before it was stored. It is only read, as its certificates may have ended since."""


class _Reader(SignedDataVerifier):
    """Reads without verifying."""

    def _decode_signed_object(self, signed_obj: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(signed_obj, options={"verify_signature": False})
        return claims


def _decode(
    verifiers: Verifiers, signed: str, decode: Callable[[SignedDataVerifier], Decoded]
) -> tuple[AppleEnvironment, Decoded]:
    """A sandbox notification fails at production's verifier by its app id before its environment is looked at."""
    if len(signed) > LONGEST_SIGNED_DATA:
        raise SignedDataForged("too long")
    refused = VerificationStatus.VERIFICATION_FAILURE
    for environment, verifier in verifiers.items():
        try:
            return environment, decode(verifier)
        except VerificationException as refusal:
            refused = refusal.status
        except Exception as error:
            # The signature is right, but the library cannot read what it covers.
            raise SignedDataForged(f"unreadable: {type(error).__name__}") from None
        if refused is VerificationStatus.RETRYABLE_VERIFICATION_FAILURE:
            raise AppleOutOfReach("certificates cannot be checked online")
        if refused not in {VerificationStatus.INVALID_ENVIRONMENT, VerificationStatus.INVALID_APP_IDENTIFIER}:
            break
    raise SignedDataForged(refused.name.lower())


def read_transaction(decoded: JWSTransactionDecodedPayload, environment: AppleEnvironment) -> AppleTransaction:
    """Raises SignedDataForged when Apple left out what every transaction has."""
    return AppleTransaction(
        environment=environment,
        original_id=needed(decoded.originalTransactionId),
        transaction_id=needed(decoded.transactionId),
        product_id=needed(decoded.productId),
        purchased_at=moment(needed(decoded.purchaseDate)),
        expires_at=optional_moment(decoded.expiresDate),
        signed_at=moment(needed(decoded.signedDate)),
        account_token=account_token(decoded.appAccountToken),
        revoked_at=optional_moment(decoded.revocationDate),
        upgraded=decoded.isUpgraded is True,
        family_shared=decoded.inAppOwnershipType is InAppOwnershipType.FAMILY_SHARED,
        free_trial=decoded.offerDiscountType is OfferDiscountType.FREE_TRIAL,
        price_milliunits=decoded.price,
        currency=decoded.currency,
    )


def read_renewal(decoded: JWSRenewalInfoDecodedPayload) -> AppleRenewal:
    return AppleRenewal(
        original_id=needed(decoded.originalTransactionId),
        signed_at=moment(needed(decoded.signedDate)),
        auto_renews=decoded.autoRenewStatus is not AutoRenewStatus.OFF,
        next_product_id=decoded.autoRenewProductId,
        in_billing_retry=decoded.isInBillingRetryPeriod is True,
        grace_ends_at=optional_moment(decoded.gracePeriodExpiresDate),
    )


def read_notification(
    decoded: ResponseBodyV2DecodedPayload, environment: AppleEnvironment, purchase: ApplePurchase | None
) -> AppleNotification:
    names = (decoded.rawNotificationType, decoded.rawSubtype)
    return AppleNotification(
        notification_id=needed(decoded.notificationUUID),
        kind="/".join(name for name in names if name) or "unnamed",
        environment=environment,
        signed_at=moment(needed(decoded.signedDate)),
        known=decoded.notificationType is not None,
        purchase=purchase,
    )


def needed(value: Decoded | None) -> Decoded:
    """Apple's library calls every field optional."""
    if value is None:
        raise SignedDataForged("incomplete")
    return value


def optional_moment(value: int | None) -> datetime | None:
    return None if value is None else moment(value)


def account_token(text: str | None) -> UUID | None:
    """An app may put in anything that StoreKit takes; only a UUID can be one of ours."""
    try:
        return None if text is None else UUID(text)
    except ValueError:
        return None


def transaction_id_in(receipt: str) -> str | None:
    """A transaction id out of a legacy receipt, unverified: good only for asking Apple about it. None when there is none."""
    try:
        found = ReceiptUtility().extract_transaction_id_from_app_receipt(receipt)
    except ValueError:
        return None
    return found if isinstance(found, str) and found.isascii() and found.isdecimal() and len(found) <= 20 else None


@dataclass(frozen=True)
class AppleApiKey:
    """An In-App Purchase key of App Store Connect. `private_key` is the .p8 file."""

    key_id: str
    issuer_id: str
    private_key: bytes


@dataclass(frozen=True)
class HistoryPage:
    """Notifications that Apple sent or tried to send, signed as they were. `next_token` is None on the last page."""

    signed_payloads: tuple[str, ...]
    next_token: str | None


class AppleServerApi:
    """The App Store Server API of both environments."""

    def __init__(
        self,
        key: AppleApiKey,
        bundle_id: str,
        signatures: AppleSignatures,
        base_urls: Mapping[AppleEnvironment, str] | None = None,
    ) -> None:
        """`base_urls` replaces Apple's in tests."""
        self._signatures = signatures
        self._clients = {
            environment: _Client(key, bundle_id, theirs, (base_urls or {}).get(environment))
            for environment, theirs in ENVIRONMENTS.items()
        }

    def statuses(self, transaction_id: str, environment: AppleEnvironment) -> tuple[ApplePurchase, ...]:
        """The latest of every subscription that this customer has or had. Any transaction of theirs will do.

        Raises TransactionUnknown, AppleUnavailable, SignedDataForged.
        """
        client = self._clients[environment]
        answer = _asked(lambda: client.get_all_subscription_statuses(transaction_id))
        return tuple(
            self._signatures.purchase(item.signedTransactionInfo, item.signedRenewalInfo)
            for group in answer.data or ()
            for item in group.lastTransactions or ()
            if item.signedTransactionInfo is not None
        )

    def statuses_anywhere(self, transaction_id: str) -> tuple[ApplePurchase, ...]:
        """As `statuses`, for an id whose environment is not known. Raises the same."""
        try:
            return self.statuses(transaction_id, AppleEnvironment.PRODUCTION)
        except TransactionUnknown:
            return self.statuses(transaction_id, AppleEnvironment.SANDBOX)

    def notification_history(
        self, environment: AppleEnvironment, begins: datetime, ends: datetime, token: str | None
    ) -> HistoryPage:
        """One page. Raises PageTokenRefused, AppleUnavailable."""
        terms = NotificationHistoryRequest(startDate=milliseconds(begins), endDate=milliseconds(ends))
        client = self._clients[environment]
        answer = _asked(lambda: client.get_notification_history(token, terms))
        payloads = tuple(item.signedPayload for item in answer.notificationHistory or () if item.signedPayload)
        return HistoryPage(payloads, answer.paginationToken if answer.hasMore else None)


class _Client(AppStoreServerAPIClient):
    """Apple's client with time limits that a web request can bear."""

    def __init__(self, key: AppleApiKey, bundle_id: str, environment: Environment, base_url: str | None) -> None:
        super().__init__(key.private_key, key.key_id, key.issuer_id, bundle_id, environment)
        if base_url is not None:
            self._base_url = base_url

    def _execute_request(  # noqa: PLR0917 - as the library calls it
        self, method: str, url: str, params: Any, headers: Any, json: Any, data: Any
    ) -> requests.Response:
        return requests.request(
            method,
            url,
            params=params,
            headers=headers,
            json=json,
            data=data,
            timeout=TIMEOUT,
            allow_redirects=False,
        )


def _asked(ask: Callable[[], Decoded]) -> Decoded:
    """The errors of a call in our own words."""
    try:
        return ask()
    except APIException as refusal:
        if refusal.api_error in TRANSACTION_NOT_FOUND:
            raise TransactionUnknown from None
        if refusal.api_error in PAGE_TOKEN_REFUSED:
            raise PageTokenRefused from None
        if refusal.http_status_code == 401:
            raise AppleRefusesUs("App Store Server API") from None
        unavailable = AppleOutOfReach if refusal.http_status_code == 429 else AppleUnavailable
        raise unavailable(f"App Store Server API: {refusal.http_status_code}") from None
    except ValueError as error:  # an answer that cannot be read; requests has such an error of its own
        raise AppleUnavailable(f"App Store Server API: {type(error).__name__}") from None
    except requests.RequestException as error:
        raise AppleOutOfReach(f"App Store Server API: {type(error).__name__}") from None

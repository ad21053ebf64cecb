"""Apple's own verifier, with its strict checks, accepts what the stand-in signs and refuses what its forger makes."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.models.NotificationTypeV2 import NotificationTypeV2
from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier, VerificationException, VerificationStatus

from sandbox.apple_server.server import AppleServer

PRO = "com.mirroros.pro.monthly"
FORGERIES = {
    "foreign root": VerificationStatus.VERIFICATION_FAILURE,
    "tampered payload": VerificationStatus.VERIFICATION_FAILURE,
    "wrong key": VerificationStatus.VERIFICATION_FAILURE,
    "alg none": VerificationStatus.VERIFICATION_FAILURE,
    "HS256": VerificationStatus.VERIFICATION_FAILURE,
    "no certificates": VerificationStatus.VERIFICATION_FAILURE,
    "two certificates": VerificationStatus.INVALID_CHAIN_LENGTH,
    "wrong leaf marker": VerificationStatus.VERIFICATION_FAILURE,
    "wrong intermediate marker": VerificationStatus.VERIFICATION_FAILURE,
    "wrong bundle": VerificationStatus.INVALID_APP_IDENTIFIER,
    "Xcode": VerificationStatus.INVALID_CHAIN_LENGTH,
    "expired leaf": VerificationStatus.VERIFICATION_FAILURE,
}


@pytest.fixture
def apple() -> Iterator[AppleServer]:
    server = AppleServer()
    server.start()
    yield server
    server.stop()


def verifier(apple: AppleServer, environment: Environment = Environment.PRODUCTION) -> SignedDataVerifier:
    return SignedDataVerifier(
        [apple.root_certificate],
        enable_online_checks=False,
        environment=environment,
        bundle_id=apple.app.bundle_id,
        app_apple_id=apple.app.app_apple_id,
    )


def test_a_transaction_is_accepted_with_every_fact_of_the_purchase(apple: AppleServer) -> None:
    token = uuid4()
    bought = apple.production.store.subscribe("alice", PRO, token)

    seen = verifier(apple).verify_and_decode_signed_transaction(apple.production.signed_transaction(bought.latest))

    assert seen.productId == PRO
    assert seen.originalTransactionId == seen.transactionId == bought.original_transaction_id
    assert seen.appAccountToken == str(token)
    assert seen.expiresDate is not None and seen.purchaseDate is not None and seen.expiresDate > seen.purchaseDate


def test_renewal_information_is_accepted(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)

    seen = verifier(apple).verify_and_decode_renewal_info(apple.production.store.signer.renewal_info(bought))

    assert (seen.autoRenewProductId, seen.rawAutoRenewStatus) == (PRO, 1)


@pytest.mark.parametrize("environment", [Environment.PRODUCTION, Environment.SANDBOX])
def test_a_notification_is_accepted_and_so_is_what_is_inside(apple: AppleServer, environment: Environment) -> None:
    host = apple.production if environment is Environment.PRODUCTION else apple.sandbox
    host.store.subscribe("alice", PRO)

    seen = verifier(apple, environment).verify_and_decode_notification(host.notifications.pending()[0].signed_payload)

    assert seen.notificationType is NotificationTypeV2.SUBSCRIBED
    assert seen.data is not None and seen.data.signedTransactionInfo and seen.data.signedRenewalInfo
    inner = verifier(apple, environment).verify_and_decode_signed_transaction(seen.data.signedTransactionInfo)
    assert inner.productId == PRO
    assert verifier(apple, environment).verify_and_decode_renewal_info(seen.data.signedRenewalInfo)


def test_a_sandbox_transaction_is_refused_by_a_production_verifier(apple: AppleServer) -> None:
    bought = apple.sandbox.store.subscribe("alice", PRO)

    with pytest.raises(VerificationException) as refusal:
        verifier(apple).verify_and_decode_signed_transaction(apple.sandbox.signed_transaction(bought.latest))

    assert refusal.value.status is VerificationStatus.INVALID_ENVIRONMENT


def test_the_forger_makes_every_forgery_of_the_list(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    payload = apple.production.store.signer.transaction_payload(bought.latest)

    assert apple.forger.all_of(payload).keys() == FORGERIES.keys()


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_transaction_is_refused(apple: AppleServer, forgery: str) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    forged = apple.forger.all_of(apple.production.store.signer.transaction_payload(bought.latest))[forgery]

    with pytest.raises(VerificationException) as refusal:
        verifier(apple).verify_and_decode_signed_transaction(forged)

    assert refusal.value.status is FORGERIES[forgery]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_notification_is_refused(apple: AppleServer, forgery: str) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    payload = apple.production.store.signer.notification_payload("DID_RENEW", subscription=bought)

    with pytest.raises(VerificationException) as refusal:
        verifier(apple).verify_and_decode_notification(apple.forger.all_of(payload)[forgery])

    assert refusal.value.status is FORGERIES[forgery]


def test_a_backdated_transaction_passes_the_library_so_its_age_has_to_be_limited(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("mallory", PRO)
    backdated = apple.forger.backdated(apple.production.store.signer.transaction_payload(bought.latest))

    assert verifier(apple).verify_and_decode_signed_transaction(backdated).productId == PRO


def test_a_verifier_for_xcode_accepts_what_anybody_signed(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("mallory", PRO)
    forged = apple.forger.xcode(apple.production.store.signer.transaction_payload(bought.latest))

    assert verifier(apple, Environment.XCODE).verify_and_decode_signed_transaction(forged).productId == PRO


def test_a_transaction_forged_inside_a_genuine_notification_is_found_only_by_verifying_it(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("mallory", PRO)
    payload = apple.production.store.signer.notification_payload("DID_RENEW", subscription=bought)

    outer = verifier(apple).verify_and_decode_notification(apple.forger.forged_inside(payload))

    assert outer.data is not None and outer.data.signedTransactionInfo is not None
    with pytest.raises(VerificationException):
        verifier(apple).verify_and_decode_signed_transaction(outer.data.signedTransactionInfo)

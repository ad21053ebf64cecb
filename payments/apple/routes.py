"""`/api/payments/apple`: receipts of apps, notifications of Apple, and the token that ties a purchase to an account."""

from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from auth.principal import Principal
from auth.tiers import Tier
from database import transaction
from payments.apple.notifications import NotificationNotValid, receive_notification
from payments.apple.rules import Apple
from payments.apple.validate_receipt import (
    AppleDoesNotAcceptUs,
    AppleNotReachable,
    NoSubscriptionInReceipt,
    ReceiptInUse,
    ReceiptNotValid,
    ReceiptStale,
    SandboxPurchase,
    validate_receipt,
)
from payments.apple_validator import LONGEST_SIGNED_DATA
from payments.assembly import Payments
from payments.billing.customer import billing_customer
from payments.bodies import SubscriptionItem
from payments.subscriptions.grant_tier import lock_user
from security.api.models import AnswerBody, Body
from security.api.operation import Answer, Anyone, operation
from security.api.request_bodies import Json
from security.api.typed_text import WITHOUT_BLANKS
from security.edge.problems import DependencyUnavailable, InvalidToken

LARGEST_RECEIPT_BODY = 1_500_000
"""Bytes. Receipts of StoreKit 1 hold every purchase of the customer and pass a hundred kilobytes."""
LARGEST_NOTIFICATION_BODY = 256 * 1024
SOMETHING_TO_READ = "[!-~]"
"""A visible ASCII character, anywhere: blanks and control characters are taken away, so a text of them alone is empty."""


class ReceiptBody(Body):
    receipt_data: Annotated[
        str, Field(min_length=1, max_length=LARGEST_RECEIPT_BODY, pattern=SOMETHING_TO_READ), WITHOUT_BLANKS
    ]
    """The app's receipt in base64 (StoreKit 1), or the signed transaction (`jwsRepresentation`, StoreKit 2)."""


class ReceiptAnswer(AnswerBody):
    tier: Tier
    """The user's tier now, whichever purchase it comes from."""
    subscription: SubscriptionItem
    """The subscription in this receipt."""


class NotificationBody(BaseModel):
    """What Apple sends. Apple may add fields, so unknown fields are ignored."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)

    signedPayload: Annotated[str, Field(min_length=1, max_length=LONGEST_SIGNED_DATA)]  # noqa: N815 - Apple's name


class AccountTokenAnswer(AnswerBody):
    account_token: UUID


def apple_routes(payments: Payments, apple: Apple) -> Blueprint:
    routes = Blueprint("apple", __name__, url_prefix="/api/payments/apple")

    @operation(
        routes,
        "POST",
        "/validate-receipt",
        operation_id="validateAppleReceipt",
        summary="Submit an App Store purchase",
        guard=payments.owner,
        body=Json(ReceiptBody, limit=LARGEST_RECEIPT_BODY),
        answers={200: ReceiptAnswer},
        problems=(
            ReceiptNotValid,
            ReceiptStale,
            NoSubscriptionInReceipt,
            SandboxPurchase,
            ReceiptInUse,
            AppleDoesNotAcceptUs,
            AppleNotReachable,
            DependencyUnavailable,
        ),
    )
    def validate_apple_receipt(body: ReceiptBody, caller: Principal) -> Answer:
        """Call this after every purchase and when the app starts; repeating it changes nothing. A subscription belongs to the
        account whose token it was bought with, otherwise to the first account that submits it.
        """
        tier, subscription = validate_receipt(apple, caller.user_id, body.receipt_data, payments.manage_urls)
        return Answer(200, ReceiptAnswer(tier=tier, subscription=subscription))

    @operation(
        routes,
        "POST",
        "/notifications",
        operation_id="receiveAppleNotification",
        summary="Receive an App Store notification",
        guard=Anyone("Apple calls it, and what it sends carries Apple's signature"),
        body=Json(NotificationBody, limit=LARGEST_NOTIFICATION_BODY),
        answers={200: None},
        problems=(NotificationNotValid, AppleNotReachable, DependencyUnavailable),
    )
    def receive_apple_notification(body: NotificationBody) -> Answer:
        """Only for Apple: App Store Server Notifications, version 2. Enter this address in App Store Connect, for both
        production and the sandbox.
        """
        receive_notification(apple, payments.inbox, body.signedPayload)
        return Answer(200)

    @operation(
        routes,
        "GET",
        "/account-token",
        operation_id="getAppleAccountToken",
        summary="Get the account token for purchases",
        guard=payments.owner,
        answers={200: AccountTokenAnswer},
        problems=(DependencyUnavailable,),
    )
    def apple_account_token(caller: Principal) -> Answer:
        """Pass it to StoreKit as `appAccountToken`. It never changes, and reveals nothing about the account."""
        with transaction() as session:
            if not lock_user(session, caller.user_id):
                raise InvalidToken
            token = billing_customer(session, caller.user_id, payments.rules.clock()).apple_account_token
        return Answer(200, AccountTokenAnswer(account_token=token))

    return routes

"""App receipts of the old kind: a signed PKCS #7 container of ASN.1 attributes, handed out in base64.

Attribute numbers: developer.apple.com/library/archive/releasenotes/General/ValidateAppStoreReceipt (2 bundle id,
3 version, 12 creation date, 17 one in-app purchase; inside it 1701 quantity, 1702 product, 1703 transaction id,
1705 original transaction id). Apple's library reads the transaction id out of ours as out of a real one.
"""

from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from sandbox.apple_server.certificate_chain import CertificateChain
from sandbox.apple_server.sold_app import App
from sandbox.apple_server.subscriptions import Transaction

INTEGER, OCTET_STRING, UTF8_STRING, IA5_STRING, SEQUENCE, SET = 0x02, 0x04, 0x0C, 0x16, 0x30, 0x31


def make_receipt(app: App, chain: CertificateChain, transactions: Iterable[Transaction], now: datetime) -> str:
    """What StoreKit 1 keeps on the device, in base64."""
    attributes = [
        attribute(2, UTF8_STRING, app.bundle_id),
        attribute(3, UTF8_STRING, "1"),
        attribute(12, IA5_STRING, now.strftime("%Y-%m-%dT%H:%M:%SZ")),
    ]
    attributes += [attribute_of_purchase(transaction) for transaction in transactions]
    signed = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(encode(SET, b"".join(attributes)))
        .add_signer(chain.leaf.certificate, chain.leaf.key, hashes.SHA256())
        .add_certificate(chain.intermediate.certificate)
        .sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    )
    return b64encode(signed).decode()


def attribute_of_purchase(transaction: Transaction) -> bytes:
    fields = [
        raw_attribute(1701, encode_integer(1)),
        attribute(1702, UTF8_STRING, transaction.product.product_id),
        attribute(1703, UTF8_STRING, transaction.transaction_id),
        attribute(1705, UTF8_STRING, transaction.original_transaction_id),
    ]
    return raw_attribute(17, encode(SET, b"".join(fields)))


def attribute(kind: int, tag: int, text: str) -> bytes:
    return raw_attribute(kind, encode(tag, text.encode()))


def raw_attribute(kind: int, value: bytes) -> bytes:
    """ReceiptAttribute ::= SEQUENCE { type INTEGER, version INTEGER, value OCTET STRING }"""
    return encode(SEQUENCE, encode_integer(kind) + encode_integer(1) + encode(OCTET_STRING, value))


def encode_integer(number: int) -> bytes:
    return encode(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def encode(tag: int, content: bytes) -> bytes:
    """Distinguished Encoding Rules (X.690): tag, length, content."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content

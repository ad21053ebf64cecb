"""The private server's result: checked to be one JSON object, then passed on byte for byte with our `metadata` in it."""

import orjson

from gateway.private_server.problems import PredictionFailed


def check_result(body: bytes) -> bytes:
    """The object's bytes without a `metadata` member of its own. Raises PredictionFailed.

    orjson refuses what JSON (RFC 8259) does not have: NaN, Infinity, text that is not UTF-8, a byte order mark, a second value.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise PredictionFailed("result_not_json") from None
    if not isinstance(document, dict):
        raise PredictionFailed("result_not_an_object")
    if "metadata" in document:
        del document["metadata"]
        body = orjson.dumps(document)  # ours replaces it; two members of one name would be ambiguous
    if not document:
        raise PredictionFailed("result_empty")
    return body.strip(b" \t\r\n")


def with_metadata(result: bytes, metadata: bytes) -> bytes:
    """The result with a `metadata` member. Nothing is written anew, so numbers stay exactly as the private server wrote them."""
    return result[:-1] + b',"metadata":' + metadata + b"}"

"""The errors of the App Store Server API: seven digits, of which the first three are the HTTP status."""

from enum import Enum

from sandbox.http_listener import Reply


class ApiError(Enum):
    INVALID_REVISION = (4000005, "Invalid request revision.")
    INVALID_TRANSACTION_ID = (4000006, "Invalid transaction id.")
    START_TOO_FAR_IN_PAST = (4000012, "Invalid request. The start date is earlier than the earliest allowed.")
    START_AFTER_END = (4000013, "Invalid request. The end date precedes the start date.")
    INVALID_PAGINATION_TOKEN = (4000014, "Invalid request. The pagination token is invalid.")
    INVALID_START_DATE = (4000015, "Invalid request. The start date is invalid.")
    INVALID_END_DATE = (4000016, "Invalid request. The end date is invalid.")
    MULTIPLE_FILTERS = (4000019, "Invalid request. Supply either a transaction id or a notification type.")
    INVALID_SORT = (4000021, "Invalid request. The sort order is invalid.")
    INVALID_STATUS = (4000031, "Invalid request. The status parameter is invalid.")
    INVALID_ACCOUNT_TOKEN = (4000183, "Invalid request. The app account token must be a UUID.")
    NOT_AN_ORIGINAL_TRANSACTION = (4000187, "Invalid request. This is not an original transaction id.")
    NO_NOTIFICATION_URL = (4040007, "No App Store Server Notification URL found for provided app.")
    NO_TEST_NOTIFICATION = (4040008, "The test notification token is expired, or the test is pending.")
    TRANSACTION_NOT_FOUND = (4040010, "Transaction id not found.")

    def reply(self) -> Reply:
        code, message = self.value
        return Reply(code // 10_000, {"errorCode": code, "errorMessage": message})


class RequestRefused(Exception):
    """The App Store Server API will not answer this request."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(error.name)
        self.error = error

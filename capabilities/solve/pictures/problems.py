"""Why a picture was not taken. None of these is charged, and none says anything about the provider."""

from typing import Any

from metering.breaker import HealthSign
from metering.metered_calls import NotInPlan
from metering.upstream import UpstreamFailed
from security.edge.problems import TooBusy, field_error, retry_after


def _at_picture(code: str, detail: str) -> dict[str, Any]:
    return {"errors": [field_error(["image"], code, detail)]}


class PictureProblem(UpstreamFailed):
    """A picture that nobody could solve. The call ends before its provider is asked."""

    status, error, title = 422, "picture_unreadable", "The picture cannot be read"
    health = HealthSign.UNKNOWN

    def __init__(self, detail: str) -> None:
        super().__init__(self.error, sent=0)
        self.detail = detail
        self.members = _at_picture(self.error, detail)


class PictureUnreadable(PictureProblem):
    """It begins as a picture does, and is damaged or incomplete."""

    def __init__(self) -> None:
        super().__init__("The picture is damaged or incomplete. Save it again and send the new file")


class PictureHasTooManyPixels(PictureProblem):
    error, title = "picture_has_too_many_pixels", "The picture has too many pixels"

    def __init__(self, most: int) -> None:
        super().__init__(f"The picture has more than {most // 1_000_000} megapixels. Make it smaller")


class PictureFormatNotSupported(PictureProblem):
    """Told by the bytes: the file's name and media type prove nothing."""

    status, error, title = 415, "picture_format_not_supported", "Send the picture as JPEG, PNG, WebP or GIF"


class PictureTooLarge(NotInPlan):
    """In bytes."""

    status, error, title = 413, "picture_too_large", "The picture is too large for your plan"

    def __init__(self, most: int) -> None:
        detail = f"Your plan takes pictures of at most {most / 2**20:g} MiB. Make it smaller, or save it as JPEG"
        super().__init__(detail, **_at_picture(self.error, detail))


class DecodersBusy(UpstreamFailed):
    """Too many pictures wait to be decoded."""

    status, error, title = 503, TooBusy.error, "Too many pictures are being read right now. Try again in a moment"

    def __init__(self) -> None:
        super().__init__(self.error, headers=retry_after(2), sent=0)


PICTURE_PROBLEMS = (
    PictureUnreadable,
    PictureHasTooManyPixels,
    PictureFormatNotSupported,
    PictureTooLarge,
    DecodersBusy,
)

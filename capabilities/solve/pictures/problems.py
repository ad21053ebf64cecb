"""Why a picture was not taken. None of these is charged, and none says anything about the provider."""

from metering.breaker import HealthSign
from security.edge.problems import DependencyUnavailable, Problem, field_error

WHERE = ("image",)


class PictureProblem(Problem):
    """A picture that nobody could solve."""

    status, error, title = 422, "picture_unreadable", "The picture cannot be read"
    health = HealthSign.UNKNOWN

    def __init__(self, detail: str) -> None:
        super().__init__(detail, errors=[field_error(WHERE, self.error, detail)])


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

    status, error, title = 415, "picture_format_not_supported", "This format of pictures is not supported"


class PictureTooLarge(PictureProblem):
    """In bytes."""

    status, error, title = 413, "picture_too_large", "The picture is too large"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"Your plan takes pictures of at most {most / 2**20:g} MiB. Make it smaller or save it as JPEG"
        )


class TooBusy(DependencyUnavailable):
    error, title = "too_busy", "Too many pictures are being read right now. Try again in a few seconds"


PICTURE_PROBLEMS = (PictureUnreadable, PictureHasTooManyPixels, PictureFormatNotSupported, PictureTooLarge, TooBusy)

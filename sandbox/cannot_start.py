"""The one kind of error that whoever starts something for development is shown, without a traceback."""


class CannotStart(Exception):
    """Something is wrong that the person at the terminal can put right. The message says what and how."""

"""What all readers of lengths share."""


class Unreadable(ValueError):
    """It is not of the format that it is said to be, or its codec is not one for speech."""

"""How recordings are refused."""

from auth.tiers import Tier
from metering.work import NotInPlan
from security.edge.problems import Problem, TooBusy


class VoiceNotInTier(NotInPlan):
    status, error, title = 403, "feature_not_in_tier", "Your plan does not include voice"

    def __init__(self, tier: Tier, including: list[str]) -> None:
        super().__init__(
            f"The {tier.value} plan does not include voice. These plans do: {', '.join(including)}",
            feature="voice",
            tier=tier.value,
            included_in=including,
        )


class VoiceUnavailable(Problem):
    """No model that could do it has a provider here."""

    status, error, title = 503, "voice_unavailable", "This server has no model for voice"


class NoRecording(Problem):
    status, error, title = 409, "no_recording", "Nothing is being recorded. Send voice:start first"


class AlreadyRecording(Problem):
    status, error, title = 409, "already_recording", "This socket is recording already. Send voice:stop first"


class RecordingUnreadable(Problem):
    status, error, title = 422, "recording_unreadable", "The recording cannot be read"

    def __init__(self, container: str) -> None:
        super().__init__(f"It is not {container}, is incomplete, or has a codec other than those for speech")


class RecordingTooShort(Problem):
    status, error, title = 422, "recording_too_short", "The recording is too short"


class RecordingTooLong(Problem):
    status, error, title = 422, "recording_too_long", "The recording is too long"

    def __init__(self, most_seconds: int) -> None:
        super().__init__(f"A recording can have at most {most_seconds // 60} minutes", limit=most_seconds)


class RecordingTooLarge(Problem):
    status, error, title = 413, "recording_too_large", "The recording is too large"

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"A recording can have at most {most_bytes // 2**20} MiB", limit=most_bytes)


class ChunkTooLarge(Problem):
    status, error, title = 413, "chunk_too_large", "The chunk is too large"

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"A chunk can have at most {most_bytes // 2**10} KiB", limit=most_bytes)


class TooManyRecordings(TooBusy):
    """What all recordings of this process may take together is taken."""

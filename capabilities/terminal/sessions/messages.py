"""What passes over `/ws/terminal`. Members beside these are ignored: sockets of old apps live long."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from capabilities.terminal.models import CloseReason
from security.api.models import WHOLE, AnswerBody, Message

LARGEST_SIZE: Final = 500
LONGEST_INPUT: Final = 64 * 1024
LONGEST_ANSWER: Final = 1024
HIGHEST: Final = 2**53 - 1
"""JavaScript counts exactly as far."""

Size = Annotated[int, Field(ge=1, le=LARGEST_SIZE), WHOLE]
Count = Annotated[int, Field(ge=0, le=HIGHEST), WHOLE]


class NewShell(Message):
    session_type: Literal["ssh", "local"] = "ssh"
    """`local` is always refused: there are no shells on the API's own servers."""
    ssh_profile_id: UUID | None = None
    rows: Size | None = None
    cols: Size | None = None
    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class Connect(Message):
    """Opens a session, or takes over the one that `session_id` names: made by `POST /api/terminal/sessions`, or running already.

    Without it, one that was made for this profile and that nobody has connected is taken before a new one is opened.
    """

    session_id: UUID | None = None
    data: NewShell = NewShell()


class OfSession(Message):
    session_id: UUID


class Input(OfSession):
    data: Annotated[str, Field(min_length=1, max_length=LONGEST_INPUT)]
    """What was typed. A new line is `\\r`, as the key sends it."""
    input_seq: Annotated[int, Field(ge=1, le=HIGHEST), WHOLE] | None = None
    """Counts the inputs of a session, one by one. With it, what was received before is dropped, so after a lost connection everything
    that was not acknowledged can be sent again."""


class NewSize(Message):
    rows: Size
    cols: Size


class Resize(OfSession):
    data: NewSize


class After(Message):
    after_seq: Count
    """The `seq` of the last output that you have, 0 for none."""


class Resume(OfSession):
    data: After


class Seen(Message):
    seq: Count


class Ack(OfSession):
    """Says up to which `seq` output was shown. From the first one on, at most 256 KiB are sent beyond."""

    data: Seen


class Fingerprint(Message):
    fingerprint: Annotated[str, Field(min_length=1, max_length=100)]


class AcceptHostKey(OfSession):
    data: Fingerprint


class Typed(Message):
    text: Annotated[str, Field(max_length=LONGEST_ANSWER, repr=False)]


class Answer(OfSession):
    """To a `prompt`. It is kept nowhere."""

    data: Typed


FROM_CLIENT: Final[Mapping[str, type[Message]]] = MappingProxyType(
    {
        "connect": Connect,
        "input": Input,
        "resize": Resize,
        "resume": Resume,
        "ack": Ack,
        "accept_host_key": AcceptHostKey,
        "answer": Answer,
        "detach": OfSession,
        "disconnect": OfSession,
    }
)


class ConnectedData(AnswerBody):
    rows: int
    cols: int
    seq: int
    """Output goes on behind this place: 0 for a new session. `resume` brings what was before."""
    server_version: str
    fingerprint: str
    """Of the server's host key."""
    grace_seconds: int
    """How long the session goes on without a socket."""
    input_seq: int
    """Of the last input that was received, from whatever device. Go on counting from there."""


class Told(AnswerBody):
    session_id: UUID


class Connected(Told):
    data: ConnectedData


class Output(Told):
    data: str
    """Whole characters. Bytes that are no UTF-8 are U+FFFD."""
    timestamp: datetime
    seq: int
    """Bytes of output up to the end of this message."""


class InputAckData(AnswerBody):
    input_seq: int


class InputAck(Told):
    data: InputAckData


class ResumedData(AnswerBody):
    from_seq: int
    """Output goes on behind this place."""
    input_seq: int
    """Of the last input that was received, as in `connected`. Send again what comes after it."""
    missed: int
    """Bytes that are no longer there: more than the last 1 MiB came while no socket was open."""


class Resumed(Told):
    data: ResumedData


class HostKeyData(AnswerBody):
    host: str
    port: int
    algorithm: str
    fingerprint: str
    status: Literal["unknown", "changed"]
    """`unknown`: answer with `accept_host_key` within two minutes. `changed`: it is refused until you delete the known host."""


class HostKeyShown(Told):
    data: HostKeyData


class PromptData(AnswerBody):
    kind: Literal["password", "passphrase", "keyboard"]
    text: str
    """For `keyboard` the words are the server's."""
    echo: bool
    """Whether the answer may be shown while it is typed."""


class Prompt(Told):
    data: PromptData


class Detached(Told):
    """Another socket has taken the session over."""


class WarningData(AnswerBody):
    code: Literal["idle_soon", "limit_soon", "token_expiring"]
    seconds: int
    """Until the session is closed, or the token ends, and with it the socket."""


class Warned(AnswerBody):
    session_id: UUID | None = Field(default=None, exclude_if=lambda value: value is None)
    """None when the token is what ends."""
    data: WarningData


class ClosedData(AnswerBody):
    reason: CloseReason
    exit_status: int | None
    signal: str | None


class Closed(Told):
    """The last message of a session."""

    data: ClosedData


class SyncData(AnswerBody):
    revision: int


class SyncChanged(AnswerBody):
    """Another device has shared something: `GET /api/terminal/sync`."""

    data: SyncData


FROM_SERVER: Final[Mapping[str, type[AnswerBody]]] = MappingProxyType(
    {
        "connected": Connected,
        "output": Output,
        "input_ack": InputAck,
        "resumed": Resumed,
        "host_key": HostKeyShown,
        "prompt": Prompt,
        "detached": Detached,
        "warning": Warned,
        "closed": Closed,
        "sync": SyncChanged,
    }
)


def told(message: AnswerBody) -> dict[str, Any]:
    return message.model_dump(mode="json")

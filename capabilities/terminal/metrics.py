"""What terminals are watched by."""

from capabilities.terminal.models import SessionState
from database.figures import Figure

OPEN_STATES = ", ".join(f"'{state}'" for state in SessionState if state is not SessionState.CLOSED)
OPEN_SESSIONS = Figure(
    "mirroros_terminal_open_sessions",
    "Terminal sessions that have not ended, by state; created: asked for, and not connected yet",
    f"""SELECT always.state, count(open.id) FROM unnest(ARRAY[{OPEN_STATES}]) AS always (state)
        LEFT JOIN terminal_sessions AS open ON open.state = always.state AND open.state <> 'closed'
        GROUP BY always.state""",  # nosec B608 # noqa: S608 - a constant
    labels=("state",),
)

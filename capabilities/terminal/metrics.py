"""What terminals are watched by."""

from database.figures import Figure

OPEN_SESSIONS = Figure(
    "mirroros_terminal_open_sessions",
    "Terminal sessions that have not ended, by state; created: asked for, and not connected yet",
    """SELECT always.state, count(open.id)
       FROM unnest(ARRAY['created', 'connecting', 'awaiting_host_key', 'awaiting_secret', 'active', 'detached']) AS always (state)
       LEFT JOIN terminal_sessions AS open ON open.state = always.state AND open.state <> 'closed' GROUP BY always.state""",
    labels=("state",),
)

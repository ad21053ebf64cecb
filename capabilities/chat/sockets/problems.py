"""How events of sockets are refused."""

from security.edge.problems import Problem

MOST_JOINED = 200
MOST_FOLLOWED = 64
"""More than a plan has replies at once."""


class NotJoined(Problem):
    status, error, title = 409, "not_joined", "Join the conversation first, with conversation:join"


class TooManyJoined(Problem):
    status, error, title = (
        409,
        "too_many_joined",
        f"A socket joins at most {MOST_JOINED} conversations. Leave one first",
    )


class TooManyFollowed(Problem):
    status, error, title = 409, "too_many_followed", f"A socket follows at most {MOST_FOLLOWED} replies at once"

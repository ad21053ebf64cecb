"""How requests about host keys are refused."""

from security.edge.problems import NotFound, Problem


class HostKeyNotSeen(NotFound):
    """Only what we saw ourselves can be accepted, so that nobody is talked into pinning the key of an intruder."""

    error = "host_key_not_seen"
    title = "This server did not show this key in the last 10 minutes. Test the connection first"


class KnownHostKeyChanged(Problem):
    status, error = 409, "host_key_changed"
    title = "You accepted another key of this server. If you are certain that it was replaced, delete that one first"


class TooManyKnownHosts(Problem):
    status, error, title = 409, "too_many_known_hosts", "You can keep up to 1,000 host keys. Delete some first"

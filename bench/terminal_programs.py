"""What is typed into a shell to measure it. Both programs say READY, and then every byte that they write counts."""

READY = b"ready"
BYTE = b"x"
LINE = f"{'drwxr-xr-x  2 deploy deploy  4096 Nov 30 12:00 ':-<99}"


def typed(program: str) -> str:
    """In place of the shell, on a terminal that changes nothing. The line itself, which shells echo, does not have READY."""
    return f"exec sh -c 'stty raw -echo; printf re%s ady; {program}'\n"


ECHO = typed("exec cat")
POUR = typed(f'while read -r size; do yes "{LINE}" | head -c "$size"; done')
"""For each number that is typed, so many bytes."""

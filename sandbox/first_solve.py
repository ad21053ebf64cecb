"""The commands of a first solution, to be pasted into a shell where TOKEN is that of the new account."""

from sandbox.first_prediction import JSON_BODY, SHOW, SIGNED_IN

PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAGAAAAAYAQAAAAAtksU5AAAAa0lEQVR42rXPoQ3CUBiF0fNeXoIsrpYpcGxGQhVjFUZAIhmhFaQhtP0RDTBBrzviEzeF/7IVcfDeO"
    "i+IUzM9vEBJZdB1v6bg1oNop+Gy2UdERBEj97qvkM3JVVMtzfNY7GqQgrGY8xcr/fkAnZ8h/DBIv/YAAAAASUVORK5CYII="
)
"""A PNG that says "12 x (7 + 5) ="."""


def first_solve(base_url: str) -> str:
    """A curl line that sends a small picture."""
    body = f'{{"image": "{PICTURE}", "format": "steps"}}'
    return f"{SHOW} {base_url}/api/gateway/solve {SIGNED_IN} {JSON_BODY} -d '{body}'"

"""The commands of a first question about a command, to be pasted into a shell where TOKEN is that of the new account."""

from pathlib import Path

from sandbox.first_prediction import JSON_BODY, SHOW, SIGNED_IN, read_member


def first_command(base_url: str, settings: Path) -> str:
    """curl lines that ask with the stand-in's own key for OpenRouter, which is in `settings`."""
    body = '{"description": "find files over 1 GB", "shell": "bash"}'
    return (
        f"KEY=$({read_member('OPENROUTER_API_KEY')} < {settings})\n"
        f"{SHOW} {base_url}/api/gateway/commands/suggest {SIGNED_IN} -H \"X-OpenRouter-Key: $KEY\" {JSON_BODY} -d '{body}'"
    )

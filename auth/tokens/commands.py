"""`flask keys`: changing the key that signs access tokens, without signing anybody out."""

import re

import click
from flask.cli import AppGroup

from auth.tokens.access_keys import AccessKeyRing, Algorithm, new_key

NUMBERED = re.compile(r"k([0-9]{1,9})")


def key_commands(keys: AccessKeyRing) -> AppGroup:
    """The command group `keys` over the keys that this process was started with."""
    group = AppGroup("keys", help="Manage the keys that sign access tokens.")

    @group.command("list")
    def show() -> None:
        """List the IDs of the keys in use, the signing key first."""
        for key in keys.keys:
            role = "signs and verifies" if key is keys.signing else "verifies"
            click.echo(f"{key.key_id}  {key.algorithm}  {role}")

    @group.command("rotate")
    @click.option(
        "--algorithm",
        type=click.Choice(["HS256", "ES256"]),
        default=None,
        help="Default: the algorithm of the current key.",
    )
    def rotate(algorithm: Algorithm | None) -> None:
        """Create a new key and print the value of JWT_KEYS for each of the three steps. Changes nothing itself."""
        coming = new_key(next_key_id(keys), algorithm or keys.signing.algorithm)
        known_everywhere = AccessKeyRing([*keys.keys, coming])
        signing = AccessKeyRing([coming, *keys.keys])
        alone = AccessKeyRing([coming])
        click.echo("These values are secrets. Store them only in the environment of the processes.")
        click.echo(
            f"\n1. Make the new key known. Set this and restart all processes:\nJWT_KEYS={known_everywhere.text()}"
        )
        click.echo(f"\n2. Sign with the new key. Set this and restart all processes:\nJWT_KEYS={signing.text()}")
        click.echo(
            "\n3. Remove the old keys an hour later, or after JWT_ACCESS_TOKEN_EXPIRE_MINUTES if that is longer. Set this and"
            f" restart all processes:\nJWT_KEYS={alone.text()}"
        )
        click.echo("\nUnset JWT_SECRET_KEY in step 1. Nobody is signed out.")

    return group


def next_key_id(keys: AccessKeyRing) -> str:
    """One number above every id of the form `k<number>`, so that an id never comes back with another key."""
    numbers = [int(found.group(1)) for key in keys.keys if (found := NUMBERED.fullmatch(key.key_id))]
    return f"k{max(numbers, default=0) + 1}"

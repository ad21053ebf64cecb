"""`flask keys`: changing the key that signs access tokens, without signing anybody out."""

import re

import click
from flask.cli import AppGroup

from auth.tokens.access_keys import Algorithm, KeyRing, new_key

NUMBERED = re.compile(r"k([0-9]{1,9})")


def key_commands(ring: KeyRing) -> AppGroup:
    """The command group `keys` over the ring that this process was started with."""
    group = AppGroup("keys", help="The keys that sign access tokens.")

    @group.command("list")
    def show() -> None:
        """Name the keys in use, the signing one first. Never shows a key."""
        for key in ring.keys:
            role = "signs and verifies" if key is ring.signing else "verifies"
            click.echo(f"{key.key_id}  {key.algorithm}  {role}")

    @group.command("rotate")
    @click.option(
        "--algorithm", type=click.Choice(["HS256", "ES256"]), default=None, help="Default: as the present key."
    )
    def rotate(algorithm: Algorithm | None) -> None:
        """Make a new key and print the three values of JWT_KEYS, one for each step. Changes nothing by itself."""
        coming = new_key(next_key_id(ring), algorithm or ring.signing.algorithm)
        known_everywhere = KeyRing([*ring.keys, coming])
        signing = KeyRing([coming, *ring.keys])
        alone = KeyRing([coming])
        click.echo("These lines are secrets: put them where the environment of the processes is kept, nowhere else.")
        click.echo(
            f"\n1. Every process learns the new key. Set, and restart all of them:\nJWT_KEYS={known_everywhere.text()}"
        )
        click.echo(f"\n2. The new key signs. Set, and restart all of them:\nJWT_KEYS={signing.text()}")
        click.echo(f"\n3. An hour later no token of the old keys is left. Set, and restart:\nJWT_KEYS={alone.text()}")
        click.echo(
            "\nUnset JWT_SECRET_KEY in step 1. Nobody is signed out: refresh tokens do not depend on these keys."
        )

    return group


def next_key_id(ring: KeyRing) -> str:
    """One number above every id of the form `k<number>`, so that an id never comes back with another key."""
    numbers = [int(found.group(1)) for key in ring.keys if (found := NUMBERED.fullmatch(key.key_id))]
    return f"k{max(numbers, default=0) + 1}"

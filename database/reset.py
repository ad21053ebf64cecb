"""`flask reset-database`: a developer's database as new."""

from typing import Final

import click
from flask.cli import with_appcontext
from flask_migrate import upgrade
from sqlalchemy import text

from database import db
from database.schema import MIGRATIONS

THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def reset_command(*, in_development: bool) -> click.Command:
    @click.command("reset-database")
    @with_appcontext
    def reset_database() -> None:
        """Delete all data and make the tables anew. Only in development, for a database on this machine."""
        if not in_development:
            raise click.ClickException("Nothing was deleted: this is only for development.")
        # A server whose FLASK_ENV was forgotten counts as development too.
        if (host := db.engine.url.host) not in THIS_MACHINE:
            raise click.ClickException(
                f"Nothing was deleted: this is only for a database on this machine, and DATABASE_URL leads to {host}."
            )
        with db.engine.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        upgrade(directory=str(MIGRATIONS))
        click.echo("All data was deleted, and the tables are new.")

    return reset_database

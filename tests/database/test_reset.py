"""flask reset-database"""

import pytest
from click.testing import Result
from flask import Flask
from flask_migrate import upgrade

from database import db
from database.reset import reset_command
from tests.bare_app import bare_app, disconnect

ELSEWHERE = "postgresql://mirroros:unknown@db.example.com/mirroros"


def run(app: Flask, *, in_development: bool) -> Result:
    return app.test_cli_runner().invoke(reset_command(in_development=in_development), [])


@pytest.mark.slow
def test_all_data_is_gone_and_the_tables_are_new(empty_database_url: str) -> None:
    app = bare_app(empty_database_url)
    with app.app_context():
        upgrade()
        with db.engine.begin() as connection:
            connection.execute(db.text("CREATE TABLE of_a_branch (id int)"))
            connection.execute(db.text("UPDATE alembic_version SET version_num = 'of_a_branch'"))
    done = run(app, in_development=True)
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "All data was deleted, and the tables are new.")
    with app.app_context(), db.engine.begin() as connection:
        assert connection.execute(db.text("SELECT to_regclass('users'), to_regclass('of_a_branch')")).all() == [
            ("users", None)
        ]
    disconnect(app)


def test_nothing_is_deleted_outside_development(kept_database_url: str) -> None:
    app = bare_app(kept_database_url)
    done = run(app, in_development=False)
    assert (done.exit_code, done.output) == (1, "Error: Nothing was deleted: this is only for development.\n")
    with app.app_context(), db.engine.begin() as connection:
        assert connection.execute(db.text("SELECT to_regclass('users')")).all() == [("users",)]
    disconnect(app)


def test_nothing_is_deleted_on_another_machine() -> None:
    done = run(bare_app(ELSEWHERE), in_development=True)
    assert done.exit_code == 1
    assert done.output.endswith("and DATABASE_URL leads to db.example.com.\n")

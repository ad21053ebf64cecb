"""The smallest application with a database."""

from flask import Flask

from database import db, migrate
from database.engine import EngineOptions, engine_options, sqlalchemy_url


def bare_app(url: str) -> Flask:
    """An application with a database and nothing else."""
    app = Flask("bare")
    app.config["SQLALCHEMY_DATABASE_URI"] = sqlalchemy_url(url)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(EngineOptions(application_name="mirroros-test"))
    db.init_app(app)
    migrate.init_app(app, db)
    return app

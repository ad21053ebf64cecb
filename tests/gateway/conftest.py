"""Whoever calls has an account in the databases of these tests."""

from tests.metering.known_users import database_url, databases_of_callers

__all__ = ["database_url", "databases_of_callers"]

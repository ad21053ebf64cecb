"""Everybody who may see or change other people's accounts has a second factor."""

from collections.abc import Iterator

from flask import Flask
from sqlalchemy import select

from auth.models import User
from auth.principal import Role
from auth.second_factor.factors import factors_of
from database import reading
from settings.production_check import ProductionCheck, Shortcoming


def staff_check(app: Flask) -> ProductionCheck:
    right = "Every admin and support account has a second factor."
    return ProductionCheck("staff", right, lambda: find(app), needs="migrations")


def find(app: Flask) -> Iterator[Shortcoming]:
    with app.app_context(), reading() as session:
        staff = session.execute(
            select(User.id, User.email, User.role)
            .where(User.role != Role.USER.value, User.is_active)
            .order_by(User.created_at)
        ).all()
        open_to_a_password = [(email, role) for user_id, email, role in staff if not factors_of(session, user_id).on]
    if not any(role == Role.ADMIN.value for _, _, role in staff):
        yield Shortcoming("There is no admin account.", "flask users create-admin ADDRESS", fails=False)
    for email, role in open_to_a_password:
        yield Shortcoming(
            f"{email} ({role}) has no second factor.",
            f"Let its owner add one under the account's security, or: flask users set-role {email} user",
        )

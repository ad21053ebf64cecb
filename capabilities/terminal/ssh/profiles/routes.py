"""`/api/terminal/ssh/profiles`: the servers of a user, and trying to connect to one."""

from typing import Final
from uuid import UUID

from flask import Blueprint
from sqlalchemy import delete, select

from auth.assembly import Auth
from auth.principal import Principal
from capabilities.terminal.models import SshProfile
from capabilities.terminal.ssh.destinations import DestinationRefused
from capabilities.terminal.ssh.host_name import Server
from capabilities.terminal.ssh.profiles.bodies import (
    SshProfileAnswer,
    SshProfileBody,
    SshProfilesAnswer,
    SshTestAnswer,
    SshTestBody,
    profile_answer,
)
from capabilities.terminal.ssh.profiles.problems import ProfileExists, TooManyProfiles
from capabilities.terminal.ssh.profiles.save_profile import make_profile, replace_profile
from capabilities.terminal.ssh.profiles.try_connection import Tries
from database import reading, transaction
from database.pages import newest_first, page_of
from security.api.cursor import ListQuery
from security.api.operation import Answer, Guard, operation
from security.api.slots import Slots
from security.edge.problems import NotFound, TooBusy, TooManyRequests

TRIES_AT_ONCE: Final = 16
"""Each keeps a thread for up to a quarter of a minute."""


def profile_routes(auth: Auth, guard: Guard, tries: Tries) -> Blueprint:
    routes = Blueprint("ssh_profiles", __name__, url_prefix="/api/terminal/ssh/profiles")

    @operation(
        routes,
        "POST",
        "",
        operation_id="createSshProfile",
        summary="Create an SSH profile",
        guard=guard,
        body=SshProfileBody,
        answers={201: SshProfileAnswer},
        problems=(DestinationRefused, ProfileExists, TooManyProfiles, TooBusy),
    )
    def create(caller: Principal, body: SshProfileBody) -> Answer:
        """Stores how to reach a server. Passwords are not part of it: you enter them when you connect."""
        tries.judge(caller.user_id, Server(body.host, body.port))
        return Answer(201, make_profile(caller, body, auth.clock()))

    @operation(
        routes,
        "GET",
        "",
        operation_id="listSshProfiles",
        summary="List your SSH profiles",
        guard=guard,
        query=ListQuery,
        answers={200: SshProfilesAnswer},
    )
    def show(caller: Principal, query: ListQuery) -> Answer:
        """Returns the newest first."""
        mine = select(SshProfile).where(SshProfile.user_id == caller.user_id)
        with reading() as session:
            found = session.scalars(newest_first(mine, SshProfile.id, query.cursor, query.limit)).all()
            page = page_of(list(map(profile_answer, found)), query.limit)
        return Answer(200, SshProfilesAnswer(profiles=list(page.items), next_cursor=page.next_cursor))

    @operation(
        routes,
        "GET",
        "/<uuid:profile_id>",
        operation_id="getSshProfile",
        summary="Get an SSH profile",
        guard=guard,
        answers={200: SshProfileAnswer},
        problems=(NotFound,),
    )
    def show_one(caller: Principal, profile_id: UUID) -> Answer:
        """Returns it as it is stored. There is no password in it."""
        mine = select(SshProfile).where(SshProfile.id == profile_id, SshProfile.user_id == caller.user_id)
        with reading() as session:
            profile = session.scalars(mine).one_or_none()
            if profile is None:
                raise NotFound
            return Answer(200, profile_answer(profile))

    @operation(
        routes,
        "PUT",
        "/<uuid:profile_id>",
        operation_id="updateSshProfile",
        summary="Update an SSH profile",
        guard=guard,
        body=SshProfileBody,
        answers={200: SshProfileAnswer},
        problems=(NotFound, DestinationRefused, ProfileExists, TooBusy),
    )
    def replace(caller: Principal, profile_id: UUID, body: SshProfileBody) -> Answer:
        """Replaces it as a whole: fields that you do not send get their defaults. Sessions that are open stay as they are."""
        tries.judge(caller.user_id, Server(body.host, body.port))
        return Answer(200, replace_profile(caller, profile_id, body, auth.clock()))

    @operation(
        routes,
        "DELETE",
        "/<uuid:profile_id>",
        operation_id="deleteSshProfile",
        summary="Delete an SSH profile",
        guard=guard,
        problems=(NotFound,),
    )
    def remove(caller: Principal, profile_id: UUID) -> None:
        """Its SSH key and the host keys that you accepted stay."""
        mine = delete(SshProfile).where(SshProfile.id == profile_id, SshProfile.user_id == caller.user_id)
        with transaction() as session:
            if session.scalars(mine.returning(SshProfile.id)).one_or_none() is None:
                raise NotFound

    @operation(
        routes,
        "POST",
        "/<uuid:profile_id>/test",
        operation_id="testSshProfile",
        summary="Test an SSH profile",
        guard=guard,
        body=SshTestBody,
        answers={200: SshTestAnswer},
        problems=(NotFound, DestinationRefused, TooManyRequests),
        within=Slots(TRIES_AT_ONCE),
    )
    def test(caller: Principal, profile_id: UUID, body: SshTestBody) -> Answer:
        """Connects, compares the host key, signs in and hangs up. No shell is opened.

        With `host_key_unknown` nothing about you was sent to the server. Compare the fingerprint, accept it with
        `POST /api/terminal/ssh/known-hosts`, and test again. You can connect 10 times a minute.
        """
        return Answer(200, tries.connection(caller, profile_id, body))

    return routes

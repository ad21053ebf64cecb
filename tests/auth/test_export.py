"""/api/auth/export"""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from werkzeug.test import TestResponse

from auth.personal_data import PersonalData
from auth.purge import PURGES
from tests.auth.accounts_app import PASSWORD, Accounts, bearer
from tests.auth.conftest import MakeAccounts


def begin(accounts: Accounts, token: str) -> TestResponse:
    return accounts.client.post("/api/auth/export", headers=bearer(token))


def listed(accounts: Accounts, token: str) -> list[dict[str, Any]]:
    answer = accounts.client.get("/api/auth/export", headers=bearer(token))
    assert answer.status_code == 200
    return list(answer.get_json()["exports"])


def download(accounts: Accounts, token: str, export_id: str) -> TestResponse:
    return accounts.client.get(f"/api/auth/export/{export_id}", headers=bearer(token))


def test_an_export_is_collected_by_a_job_and_downloaded(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    begun = begin(accounts, token)
    assert begun.status_code == 202
    export = begun.get_json()
    assert (export["status"], export["ready_at"]) == ("collecting", None)
    early = download(accounts, token, export["id"])
    assert (early.status_code, early.get_json()["error"]) == (409, "export_not_ready")
    (message,) = [*accounts.messages(), *accounts.messages()]
    assert (message["To"], message["Subject"]) == ("alice@example.com", "Your data is ready")
    (ready,) = listed(accounts, token)
    assert (ready["id"], ready["status"]) == (export["id"], "ready")
    answer = download(accounts, token, export["id"])
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == 'attachment; filename="mirroros-export.json"'
    assert answer.headers["Cache-Control"] == "no-store"
    account = answer.get_json()["parts"]["account"]
    assert account["account"]["email"] == "alice@example.com"
    assert len(account["sessions"]) == 1
    assert [event["event"] for event in account["security_events"]] == ["registered", "data_export_requested"]
    assert accounts.events()[-1] == "data_export_downloaded"


def test_no_secret_and_nobody_else_is_in_it(accounts: Accounts) -> None:
    signed_in = accounts.register()
    accounts.register("bob@example.com")
    export_id = begin(accounts, signed_in["access_token"]).get_json()["id"]
    accounts.messages()
    content = download(accounts, signed_in["access_token"], export_id).text
    secrets = accounts.query(
        "SELECT password_hash, encode(salt, 'hex'), encode(salt, 'base64'), encode(token_hash, 'hex')"
        " FROM users JOIN sessions ON user_id = users.id JOIN known_devices USING (user_id)"
    )
    for secret in (*(value for row in secrets for value in row), signed_in["refresh_token"], "bob@example.com"):
        assert secret not in content


def test_hostile_names_come_out_as_they_went_in(accounts: Accounts) -> None:
    hostile = "=cmd|' /C calc'!A0 \"},{ </script> \\u0000 @SUM(1)"
    token = accounts.register()["access_token"]
    accounts.sign_in(device_name=hostile)
    accounts.client.patch("/api/auth/profile", json={"display_name": hostile}, headers=bearer(token))
    export_id = begin(accounts, token).get_json()["id"]
    accounts.messages()
    answer = download(accounts, token, export_id)
    account = json.loads(answer.data)["parts"]["account"]
    assert account["account"]["display_name"] == hostile
    assert account["sessions"][1]["device_name"] == hostile
    assert (answer.mimetype, answer.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")


def test_what_other_parts_hold_is_in_it(make_accounts: MakeAccounts) -> None:
    part = PersonalData("payments", lambda _session, user_id: {"invoices": [{"paid_by": user_id}]})
    accounts = make_accounts(personal_data=(part,))
    alice = accounts.register()
    export_id = begin(accounts, alice["access_token"]).get_json()["id"]
    accounts.messages()
    parts = download(accounts, alice["access_token"], export_id).get_json()["parts"]
    assert parts["payments"] == {"invoices": [{"paid_by": alice["user"]["id"]}]}


def test_the_email_holds_no_data(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    export_id = begin(accounts, token).get_json()["id"]
    (message,) = accounts.messages()
    assert export_id not in message.as_string()


def test_there_is_one_a_day(accounts: Accounts) -> None:
    accounts.register()
    token = accounts.sign_in(remember_me=True).get_json()["access_token"]
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: begin(accounts, token), range(6)))
    assert sorted(answer.status_code for answer in answers) == [202, 429, 429, 429, 429, 429]
    accounts.clock.advance(hours=23)
    again = accounts.sign_in().get_json()["access_token"]
    refused = begin(accounts, again)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3600")
    accounts.clock.advance(hours=1)
    assert begin(accounts, accounts.sign_in().get_json()["access_token"]).status_code == 202


def test_somebody_else_finds_nothing(accounts: Accounts) -> None:
    alice, mallory = accounts.register(), accounts.register("mallory@example.com")
    export_id = begin(accounts, alice["access_token"]).get_json()["id"]
    accounts.messages()
    assert download(accounts, mallory["access_token"], export_id).status_code == 404
    assert download(accounts, mallory["access_token"], str(uuid.uuid4())).status_code == 404
    assert listed(accounts, mallory["access_token"]) == []


def test_beginning_and_downloading_want_a_fresh_proof_and_looking_does_not(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    export_id = begin(accounts, token).get_json()["id"]
    accounts.messages()
    accounts.clock.advance(minutes=6)
    for stale in (begin(accounts, token), download(accounts, token, export_id)):
        assert (stale.status_code, stale.get_json()["error"]) == (401, "insufficient_user_authentication")
    assert len(listed(accounts, token)) == 1
    fresh = accounts.post("/reauthenticate", {"password": PASSWORD}, headers=bearer(token)).get_json()["access_token"]
    assert download(accounts, fresh, export_id).status_code == 200


def test_after_a_week_it_is_gone(accounts: Accounts) -> None:
    token = accounts.register()["access_token"]
    export_id = begin(accounts, token).get_json()["id"]
    accounts.messages()
    accounts.clock.now += timedelta(days=7, seconds=1)
    later = accounts.sign_in().get_json()["access_token"]
    assert download(accounts, later, export_id).status_code == 404
    assert listed(accounts, later) == []
    with accounts.app.app_context():
        assert PURGES["purge_exports"].run(accounts.clock) == 1
    assert accounts.query("SELECT count(*) FROM data_exports") == [(0,)]


def test_the_job_of_an_account_that_is_gone_does_nothing(accounts: Accounts) -> None:
    begin(accounts, accounts.register()["access_token"])
    accounts.query("DELETE FROM users")
    assert accounts.messages() == []


def test_nobody_is_asked_to_sign_in(accounts: Accounts) -> None:
    assert accounts.client.post("/api/auth/export").status_code == 401
    assert accounts.client.get("/api/auth/export").status_code == 401
    assert accounts.client.get(f"/api/auth/export/{uuid.uuid4()}").status_code == 401

"""POST /api/auth/passkeys/sign-in, and a passkey as the second factor"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.auth.accounts_app import Accounts
from tests.auth.factor_owner import FactorOwner
from tests.auth.software_passkey import SoftwarePasskey, encoded


class Signer:
    """Alice, her passkey, and the two ceremonies in which she uses it."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.alice = FactorOwner(accounts)
        self.passkey = self.alice.add_passkey()

    def options(self) -> dict[str, Any]:
        answer = self.accounts.post("/passkeys/sign-in/options")
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json()["options"])

    def sign_in(self, credential: dict[str, Any], **more: Any) -> TestResponse:
        return self.accounts.post("/passkeys/sign-in", {"credential": credential, **more})

    def sessions(self) -> int:
        return int(self.accounts.query("SELECT count(*) FROM sessions")[0][0])


@pytest.fixture
def signer(accounts: Accounts) -> Signer:
    return Signer(accounts)


def refused(answer: TestResponse) -> bool:
    return (answer.status_code, answer.get_json()["error"]) == (401, "passkey_refused")


def test_a_passkey_alone_signs_in(signer: Signer) -> None:
    answer = signer.sign_in(signer.passkey.get(signer.options()))
    assert answer.status_code == 200, answer.text
    tokens = answer.get_json()
    assert tokens["user"]["email"] == "alice@example.com"
    assert tokens["device_token"].startswith("dt_")
    assert signer.accounts.profile(tokens["access_token"]).status_code == 200
    [passkey] = signer.alice.ask("GET", "/passkeys").get_json()["passkeys"]
    assert passkey["last_used_at"] is not None
    query = "SELECT detail FROM security_events WHERE event = 'signed_in'"
    assert signer.accounts.query(query) == [({"method": "passkey"},)]


@pytest.mark.parametrize(("remember", "days"), [(False, 7), (True, 90)])
def test_remember_me_decides_how_long_the_session_lives(signer: Signer, remember: bool, days: int) -> None:
    signer.sign_in(signer.passkey.get(signer.options()), remember_me=remember)
    [(lifetime,)] = signer.accounts.query("SELECT expires_at - created_at FROM sessions ORDER BY id DESC LIMIT 1")
    assert lifetime.days == days


def test_the_options_tell_nothing_of_any_account(signer: Signer) -> None:
    options = signer.options()
    assert set(options) == {"challenge", "timeout", "rpId", "allowCredentials", "userVerification"}
    assert options["allowCredentials"] == []
    assert (options["rpId"], options["userVerification"]) == ("api.example.com", "required")


@pytest.mark.parametrize(
    "client",
    [
        {"origin": "https://evil.org"},
        {"origin": "https://api.example.com.evil.org"},
        {"challenge": encoded(bytes(32))},
        {"challenge": 7},
        {"type": "webauthn.create"},
        {"crossOrigin": True},
    ],
)
def test_what_the_browser_did_not_say_of_us_is_refused(signer: Signer, client: dict[str, Any]) -> None:
    assert refused(signer.sign_in(signer.passkey.get(signer.options(), **client)))
    assert signer.sessions() == 1


def test_an_answer_for_another_domain_is_refused(signer: Signer) -> None:
    signer.passkey.rp_id = "evil.org"
    assert refused(signer.sign_in(signer.passkey.get(signer.options())))


def test_a_passkey_that_nobody_unlocked_is_one_factor_and_refused(signer: Signer) -> None:
    signer.passkey.verified = False
    assert refused(signer.sign_in(signer.passkey.get(signer.options())))


def test_an_answer_works_once(signer: Signer) -> None:
    credential = signer.passkey.get(signer.options())
    assert signer.sign_in(credential).status_code == 200
    assert refused(signer.sign_in(credential))


def test_of_eight_at_once_with_one_answer_one_succeeds(signer: Signer) -> None:
    credential = signer.passkey.get(signer.options())
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda _: signer.sign_in(credential), range(8))
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


def test_a_challenge_lives_five_minutes(signer: Signer) -> None:
    options = signer.options()
    signer.accounts.clock.advance(minutes=5)
    assert refused(signer.sign_in(signer.passkey.get(options)))


def test_a_sign_count_that_went_back_is_refused_and_the_owner_is_told(signer: Signer) -> None:
    signer.passkey.count = 40
    assert signer.sign_in(signer.passkey.get(signer.options())).status_code == 200
    signer.accounts.messages()
    signer.passkey.count = 9
    assert refused(signer.sign_in(signer.passkey.get(signer.options())))
    assert "passkey_sign_count_went_back" in signer.accounts.events(signer.alice.user_id)
    assert [message["Subject"] for message in signer.accounts.messages()] == ["Someone may have copied a passkey"]
    signer.passkey.count = 41
    assert signer.sign_in(signer.passkey.get(signer.options())).status_code == 200


def test_a_sign_count_that_stands_still_is_refused(signer: Signer) -> None:
    signer.sign_in(signer.passkey.get(signer.options()))
    signer.passkey.counts = False
    assert refused(signer.sign_in(signer.passkey.get(signer.options())))


def test_a_low_count_without_a_good_signature_raises_no_alarm(signer: Signer) -> None:
    signer.passkey.count = 40
    signer.sign_in(signer.passkey.get(signer.options()))
    forger = SoftwarePasskey(credential_id=signer.passkey.credential_id, user_handle=signer.passkey.user_handle)
    assert refused(signer.sign_in(forger.get(signer.options())))
    assert "passkey_sign_count_went_back" not in signer.accounts.events()


def test_synchronised_passkeys_that_do_not_count_work_again_and_again(accounts: Accounts) -> None:
    signer = Signer(accounts)
    signer.passkey.counts = False
    for _ in range(3):
        assert signer.sign_in(signer.passkey.get(signer.options())).status_code == 200


def test_an_unknown_passkey_is_refused_like_a_wrong_one(signer: Signer) -> None:
    stranger = SoftwarePasskey(user_handle=signer.passkey.user_handle)
    answers = [
        signer.sign_in(stranger.get(signer.options())),
        signer.sign_in(signer.passkey.get(signer.options(), origin="https://evil.org")),
    ]
    assert all(refused(answer) for answer in answers)
    assert len({answer.get_json()["detail"] for answer in answers}) == 1


@pytest.mark.parametrize("handle", [b"", bytes(16)])
def test_a_passkey_names_its_owner(signer: Signer, handle: bytes) -> None:
    credential = signer.passkey.get(signer.options())
    credential["response"]["userHandle"] = encoded(handle) or None
    assert refused(signer.sign_in(credential))


@pytest.mark.parametrize(
    "broken",
    [
        {"signature": "AAAA"},
        {"authenticatorData": "AAAA"},
        {"authenticatorData": encoded(b"\xff" * 200)},
        {"clientDataJSON": encoded(b"\xff\xfe")},
        {"clientDataJSON": encoded(b"[" * 9000)},
    ],
)
def test_bytes_that_are_no_answer_are_refused(signer: Signer, broken: dict[str, str]) -> None:
    credential = signer.passkey.get(signer.options())
    credential["response"] |= broken
    assert refused(signer.sign_in(credential))


@pytest.mark.parametrize("broken", [{"signature": "A" * 5}, {"userHandle": "A" * 5}, {"signature": "AB"}])
def test_base64_in_another_spelling_is_named(signer: Signer, broken: dict[str, str]) -> None:
    credential = signer.passkey.get(signer.options())
    credential["response"] |= broken
    answer = signer.sign_in(credential)
    assert (answer.status_code, answer.get_json()["error"]) == (422, "validation_failed")
    assert answer.get_json()["errors"][0]["pointer"] == f"/credential/response/{next(iter(broken))}"


def test_who_is_switched_off_hears_so_after_the_proof(signer: Signer) -> None:
    signer.accounts.query("UPDATE users SET is_active = false")
    credential = signer.passkey.get(signer.options())
    assert signer.sign_in(credential).get_json()["error"] == "account_disabled"
    assert refused(signer.sign_in(credential))


def test_a_passkey_finishes_a_sign_in_that_began_with_a_password(signer: Signer) -> None:
    alice = signer.alice
    challenge = alice.begin_sign_in()
    options = alice.sign_in_options(challenge)
    assert [known["id"] for known in options["allowCredentials"]] == [encoded(signer.passkey.credential_id)]
    signer.passkey.verified = False  # the password was the other factor
    answer = alice.finish(challenge, passkey=signer.passkey.get(options))
    assert answer.status_code == 200, answer.text
    assert signer.accounts.profile(answer.get_json()["access_token"]).status_code == 200


def test_the_challenge_of_one_sign_in_does_not_finish_another(signer: Signer) -> None:
    alice = signer.alice
    first, second = alice.begin_sign_in(), alice.begin_sign_in()
    credential = signer.passkey.get(alice.sign_in_options(first))
    assert alice.finish(second, passkey=credential).get_json()["error"] == "second_factor_refused"
    assert alice.finish(first, passkey=credential).status_code == 200


def test_a_challenge_to_sign_in_alone_is_no_second_factor_and_the_other_way_round(signer: Signer) -> None:
    alice = signer.alice
    challenge = alice.begin_sign_in()
    assert alice.finish(challenge, passkey=signer.passkey.get(signer.options())).status_code == 401
    assert refused(signer.sign_in(signer.passkey.get(alice.sign_in_options(challenge))))


def test_the_passkey_of_another_account_is_no_second_factor(signer: Signer) -> None:
    bob = FactorOwner(signer.accounts, "bob@example.com")
    bob.add_passkey()
    challenge = bob.begin_sign_in()
    credential = signer.passkey.get(bob.sign_in_options(challenge))
    assert bob.finish(challenge, passkey=credential).status_code == 401


def test_options_need_a_sign_in_that_waits(signer: Signer) -> None:
    answer = signer.accounts.post("/login/second-factor/passkey/options", {"challenge": "sc_" + "A" * 43})
    assert (answer.status_code, answer.get_json()["error"]) == (401, "challenge_not_valid")


def test_a_closed_account_says_until_when_it_can_be_had_back(signer: Signer) -> None:
    assert signer.alice.ask("DELETE", "/profile").status_code == 200
    answer = signer.sign_in(signer.passkey.get(signer.options()))
    assert (answer.status_code, answer.get_json()["error"]) == (403, "account_closing")
    assert "delete_after" in answer.get_json()


def test_an_account_that_was_switched_off_says_so(signer: Signer) -> None:
    signer.accounts.query("UPDATE users SET is_active = false")
    answer = signer.sign_in(signer.passkey.get(signer.options()))
    assert (answer.status_code, answer.get_json()["error"]) == (403, "account_disabled")

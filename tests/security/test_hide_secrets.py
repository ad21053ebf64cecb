"""Secrets of a known shape are masked in what people paste, and counted."""

import secrets

import pytest

from security.secrets.hide_secrets import hide_secrets

KEY = secrets.token_hex(20)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("export AWS_SECRET_ACCESS_KEY=abcd/efgh+x", "export AWS_SECRET_ACCESS_KEY=[masked]"),
        ("password: hunter2!", "password: [masked]"),
        ("mysql --password=geheim -u root", "mysql --password=[masked] -u root"),
        ("mysql --password geheim", "mysql --password [masked]"),
        ("docker run -e API_KEY=foo img", "docker run -e API_KEY=[masked] img"),
        ('{"api_key": "abc def"}', '{"api_key": [masked]}'),
        ("curl -u bob:geheim https://x", "curl -u bob:[masked] https://x"),
        ("curl -H 'Authorization: token abc'", "curl -H 'Authorization: token [masked]'"),
        ("Bearer <key>", "Bearer [masked]"),
        ("postgres://u:p4ss@host/db", "postgres://u:[masked]@host/db"),
        ("sshpass -p 'x y' ssh a@b", "sshpass -p [masked] ssh a@b"),
        ("root:$6$abcdefgh$ijklmnopqrstuvwx:19000", "root:[masked]:19000"),
        ("a -----BEGIN OPENSSH PRIVATE KEY-----\nb\n-----END OPENSSH PRIVATE KEY----- c", "a [masked] c"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc", "[masked]"),
        ("it was AKIAABCDEFGHIJKLMNOP.", "it was [masked]."),
        ("eyJhbGciOiJIUzI1NiJ9.<key>.<key>", "[masked]"),
        *(
            (f"{begin}<key>", "[masked]")
            for begin in ("sk-or-v1-", "sk-proj-", "gsk_", "AIza", "hf_", "ghp_", "github_pat_", "glpat-", "npm_")
        ),
        *((f"{begin}<key>", "[masked]") for begin in ("xoxb-", "sk_live_", "whsec_", "tok_", "rt_", "pypi-", "SG.")),
    ],
)
def test_a_secret_is_masked_and_counted(text: str, shown: str) -> None:
    hidden = hide_secrets(text.replace("<key>", KEY))
    assert (hidden.text, hidden.count) == (shown, 1)
    assert hide_secrets(shown).text == shown


@pytest.mark.parametrize(
    "text",
    [
        "error in line 3; token expected near ')'",
        "tokenizer = x",
        "cat /etc/passwd",
        "ls --token",
        "chown user:group file",
        "ssh -u",
        "https://example.com/a@b",
        "git show 3f2a9c1d8e7b6a5f4c3d2e1f0a9b8c7d6e5f4a3b",
        "",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert hide_secrets(text).text == text
    assert hide_secrets(text).count == 0


def test_all_are_counted_and_those_that_are_known_have_no_shape() -> None:
    hidden = hide_secrets("mine is abcdef, abcdef; password=x", "abcdef")
    assert (hidden.text, hidden.count) == ("mine is [masked], [masked]; password=[masked]", 3)


@pytest.mark.parametrize(
    "text", ["eyJ-", "a.", "password ", "-", "://a", "Bearer ", "-----BEGIN RSA PRIVATE KEY-----", "$6$"]
)
def test_a_long_text_is_looked_through_quickly(text: str) -> None:
    """Each shape is looked for only so far; without that these would take minutes."""
    hide_secrets((text * 16384)[:16384])

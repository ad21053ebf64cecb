"""What counts as an e-mail address."""

import pytest

from auth.email_address import EmailAddressNotAcceptable, parse_email


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "",
        "alice@localhost",
        "alice@[127.0.0.1]",
        "alice@127.0.0.1",
        "alice@example.com\r\nBcc: bob@example.com",
        "alice\0@example.com",
        " alice@example.com",
        '"alice bob"@example.com',
        "alice\uff20example.com",
        "alice@example\u3002com",
        "alice@example\uff0ecom",
        "al\u00adice@example.com",
        "al\u200bice@example.com",
        "\u0430lice@example.com",
        "ali\u017fe@example.com",
        "\u212aate@example.com",
        "alice@exam\u202eple.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 250 + ".com",
        "a" * 50_000 + "!",
    ],
)
def test_what_only_looks_like_an_address_is_refused(text: str) -> None:
    with pytest.raises(EmailAddressNotAcceptable):
        parse_email(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Alice+shop@Example.COM", "alice+shop@example.com"),
        ("a.l.i.c.e@example.com", "a.l.i.c.e@example.com"),
        ("alice@b\u00fccher.example.com", "alice@xn--bcher-kva.example.com"),
        ("alice@bu\u0308cher.example.com", "alice@xn--bcher-kva.example.com"),
        ("alice@XN--BCHER-KVA.example.com", "alice@xn--bcher-kva.example.com"),
    ],
)
def test_one_mailbox_has_one_key(text: str, key: str) -> None:
    assert parse_email(text).key == key


def test_a_foreign_domain_is_shown_in_its_ascii_form() -> None:
    assert parse_email("Alice@ex\u0430mple.com").address == "Alice@xn--exmple-4nf.com"

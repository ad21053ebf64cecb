"""Which private keys are taken, and which can be opened"""

from collections.abc import Callable
from functools import cache
from time import monotonic

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from capabilities.terminal.ssh.keys.problems import KeyNotReadable
from capabilities.terminal.ssh.keys.read_key import (
    HIDDEN,
    OTHER_TYPE,
    PUBLIC,
    ROUNDS,
    RSA_LENGTH,
    WrongPassphrase,
    generate_ed25519,
    open_key_file,
    read_key_file,
)
from tests.capabilities.terminal.key_files import PASSPHRASE, certificate, key_file, public_key, with_rounds


@cache
def rsa_key() -> asyncssh.SSHKey:
    """Making one takes a while."""
    return asyncssh.generate_private_key("ssh-rsa", key_size=2048)


def rsa_file(form: str = "openssh") -> str:
    return str(rsa_key().export_private_key(form).decode())


TAKEN: dict[str, Callable[[], str]] = {
    "ed25519": key_file,
    "ed25519 in PKCS 8": lambda: key_file(form="pkcs8-pem"),
    "ecdsa 256": lambda: key_file("ecdsa-sha2-nistp256"),
    "ecdsa 384": lambda: key_file("ecdsa-sha2-nistp384"),
    "ecdsa 521 in PEM": lambda: key_file("ecdsa-sha2-nistp521", form="pkcs1-pem"),
    "rsa": rsa_file,
    "rsa in PEM": lambda: rsa_file("pkcs1-pem"),
    "windows line ends": lambda: key_file().replace("\n", "\r\n"),
    "blanks around it": lambda: f"\n  {key_file().strip()}",
}
REFUSED: dict[str, tuple[Callable[[], str], str | None]] = {
    "empty": (str, None),
    "words": (lambda: "my key", None),
    "half a file": (lambda: key_file()[:150], None),
    "no content": (lambda: "-----BEGIN OPENSSH PRIVATE KEY-----\n\n-----END OPENSSH PRIVATE KEY-----", None),
    "not base64": (lambda: key_file().replace("b3BlbnNzaC1", "********"), None),
    "two keys": (lambda: key_file() + key_file(), None),
    "binary": (lambda: "\0\x01\x02" * 50, None),
    "a certificate": (certificate, PUBLIC),
    "a public key": (public_key, PUBLIC),
    "an X.509 certificate": (lambda: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", PUBLIC),
    "dsa": (lambda: key_file("ssh-dss"), OTHER_TYPE),
    "dsa in PEM": (lambda: key_file("ssh-dss", form="pkcs1-pem"), OTHER_TYPE),
    "ed448": (lambda: key_file("ssh-ed448"), OTHER_TYPE),
    "short rsa": (lambda: key_file("ssh-rsa", key_size=1024), RSA_LENGTH),
    "encrypted PEM": (lambda: key_file("ecdsa-sha2-nistp256", form="pkcs1-pem", passphrase=PASSPHRASE), HIDDEN),
    "encrypted PKCS 8": (lambda: key_file(form="pkcs8-pem", passphrase=PASSPHRASE), HIDDEN),
    "rounds for years": (lambda: with_rounds(key_file(passphrase=PASSPHRASE), 2**32 - 1), ROUNDS),
    "too many rounds": (lambda: with_rounds(key_file(passphrase=PASSPHRASE), 257), ROUNDS),
    "no rounds": (lambda: with_rounds(key_file(passphrase=PASSPHRASE), 0), ROUNDS),
    "dsa with a passphrase": (lambda: key_file("ssh-dss", passphrase=PASSPHRASE), OTHER_TYPE),
}


@pytest.mark.parametrize("kind", TAKEN)
def test_keys_are_taken_in_the_usual_forms(kind: str) -> None:
    text = TAKEN[kind]()
    file = read_key_file(text)
    assert not file.has_passphrase
    assert asyncssh.import_public_key(file.public_key).get_fingerprint() == file.fingerprint
    assert file.public_key.split()[0] == file.type
    assert len(file.public_key.split()) == 2
    assert open_key_file(text, None, file.fingerprint).get_fingerprint() == file.fingerprint


@pytest.mark.parametrize("kind", REFUSED)
def test_everything_else_is_refused_and_told_why(kind: str) -> None:
    make, detail = REFUSED[kind]
    began = monotonic()
    with pytest.raises(KeyNotReadable) as refused:
        read_key_file(make())
    assert refused.value.detail == (detail or KeyNotReadable.title)
    assert monotonic() - began < 60
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_a_key_with_a_passphrase_is_read_without_it(algorithm: str) -> None:
    text = key_file(algorithm, passphrase=PASSPHRASE)
    file = read_key_file(text)
    assert (file.type, file.has_passphrase) == (algorithm, True)
    assert open_key_file(text, PASSPHRASE, file.fingerprint).get_fingerprint() == file.fingerprint


@pytest.mark.parametrize("typed", [None, "", "wrong", PASSPHRASE.upper()])
def test_only_its_own_passphrase_opens_a_key(typed: str | None) -> None:
    text = key_file(passphrase=PASSPHRASE)
    with pytest.raises(WrongPassphrase):
        open_key_file(text, typed, read_key_file(text).fingerprint)


def test_a_file_that_holds_another_key_than_it_says_is_not_opened() -> None:
    other = read_key_file(key_file()).fingerprint
    with pytest.raises(WrongPassphrase):
        open_key_file(key_file(passphrase=PASSPHRASE), PASSPHRASE, other)


def test_rsa_whose_numbers_do_not_fit_is_refused() -> None:
    """asyncssh is told not to check it, because a number of 50,000 bits would take minutes."""
    pyca_key = rsa_key().pyca_key
    assert isinstance(pyca_key, RSAPrivateKey)
    right = pyca_key.private_numbers()
    wrong = RSAPrivateNumbers(
        right.p, right.q, right.d + 2, right.dmp1 + 2, right.dmq1, right.iqmp, right.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    text = wrong.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    with pytest.raises(KeyNotReadable):
        read_key_file(text)


def test_a_generated_key_is_ed25519_and_never_the_same() -> None:
    (text, file), (other, _) = generate_ed25519(), generate_ed25519()
    assert (file.type, file.has_passphrase) == ("ssh-ed25519", False)
    assert text != other

"""Reading private keys, with and without their passphrases. Importing it loads asyncssh."""

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Final

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from capabilities.terminal.ssh.keys.problems import KeyNotReadable

BLOCK: Final = re.compile(
    r"\s*-----BEGIN (?P<label>[A-Z ]*)PRIVATE KEY-----\r?\n(?P<content>(?:(?!-----).)*)-----END (?P=label)PRIVATE KEY-----\s*",
    re.ASCII | re.DOTALL,
)
"""One of them, and nothing else."""
MAGIC: Final = b"openssh-key-v1\0"
TYPES: Final = frozenset(
    {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"}
)
SHORTEST_RSA, LONGEST_RSA = 2048, 8192
"""Bits. A longer one would take seconds to check, and nobody uses it."""
CIPHER: Final = re.compile(rb"aes(128|192|256)-(ctr|cbc|gcm@openssh\.com)|chacha20-poly1305@openssh\.com")
MOST_ROUNDS: Final = 256
"""Of bcrypt, which take a second or two. The file says how many there are, and a number of 32 bits would take years."""

PUBLIC = "This is a public key or a certificate. Send the private key, the file without .pub"
HIDDEN = (
    "This file is encrypted as a whole. `ssh-keygen -p -f FILE` rewrites it in OpenSSH format, with a passphrase or without. Then"
    " send it again"
)
OTHER_TYPE = "Keys of this type are not supported. Use Ed25519, ECDSA or RSA"
RSA_LENGTH = f"RSA keys must have {SHORTEST_RSA:,} to {LONGEST_RSA:,} bits"
ROUNDS = f"This key allows at most {MOST_ROUNDS} rounds. `ssh-keygen -p -a 64 -f FILE` rewrites it. Then send it again"


class WrongPassphrase(Exception):
    """Or none, or what it opens is not the key that the file promised."""


@dataclass(frozen=True)
class PrivateKeyFile:
    """What may be told about it. `public_key`: as in a line of `authorized_keys`, without a comment."""

    type: str
    public_key: str
    fingerprint: str
    has_passphrase: bool


def read_key_file(text: str) -> PrivateKeyFile:
    """Look at a file that a user sends. Raises KeyNotReadable.

    The passphrase is not needed: an OpenSSH file has its public key outside of what is encrypted (PROTOCOL.key of OpenSSH). A PEM file
    that is encrypted has not.
    """
    block = BLOCK.fullmatch(text)
    if block is None:
        is_public = re.match(r"\s*(ssh-|ecdsa-|sk-|-----BEGIN CERTIFICATE|-----BEGIN [A-Z2 ]*PUBLIC)", text) is not None
        raise KeyNotReadable(PUBLIC if is_public else None)
    if block["label"] == "DSA ":
        raise KeyNotReadable(OTHER_TYPE)
    if block["label"] == "ENCRYPTED " or "Proc-Type:" in block["content"]:
        raise KeyNotReadable(HIDDEN)
    try:
        public = _public_part(block["content"]) if block["label"] == "OPENSSH " else None
        key = _import(text, None) if public is None else asyncssh.public_key.decode_ssh_public_key(public)
    except (ValueError, PacketDecodeError):  # and not its message, which could tell something
        raise KeyNotReadable from None
    _check(key)
    line = key.export_public_key("openssh").decode().split()
    return PrivateKeyFile(key.get_algorithm(), " ".join(line[:2]), key.get_fingerprint(), public is not None)


def open_key_file(text: str, passphrase: str | None, fingerprint: str) -> asyncssh.SSHKey:
    """A file that `read_key_file` has seen. Takes up to seconds of a core: never on a loop. Raises WrongPassphrase."""
    try:
        key = _import(text, passphrase)
        _check(key)
    except (ValueError, PacketDecodeError, KeyNotReadable):
        raise WrongPassphrase from None
    if key.get_fingerprint() != fingerprint:
        raise WrongPassphrase
    return key


def _import(text: str, passphrase: str | None) -> asyncssh.SSHKey:
    """RSA is checked afterwards, when its size is known to be sensible. Raises ValueError."""
    return asyncssh.import_private_key(text.strip(), passphrase, unsafe_skip_rsa_key_validation=True)


def _check(key: asyncssh.SSHKey) -> None:
    """Raises KeyNotReadable."""
    if key.get_algorithm() not in TYPES:
        raise KeyNotReadable(OTHER_TYPE)
    pyca_key = key.pyca_key
    if not isinstance(pyca_key, RSAPrivateKey | RSAPublicKey):
        return
    if not SHORTEST_RSA <= pyca_key.key_size <= LONGEST_RSA:
        raise KeyNotReadable(RSA_LENGTH)
    if isinstance(pyca_key, RSAPrivateKey):
        try:
            pyca_key.private_numbers().private_key()
        except ValueError:
            raise KeyNotReadable from None


def _public_part(content: str) -> bytes | None:
    """Of an OpenSSH file that has a passphrase; None for one that has none. Raises ValueError, PacketDecodeError, KeyNotReadable."""
    decoded = b64decode("".join(content.split()), validate=True)
    if not decoded.startswith(MAGIC):
        raise ValueError
    packet = SSHPacket(decoded[len(MAGIC) :])
    cipher, kdf, options, keys, public = (
        packet.get_string(),
        packet.get_string(),
        SSHPacket(packet.get_string()),
        packet.get_uint32(),
        packet.get_string(),
    )
    if cipher == b"none":
        return None
    if keys != 1 or kdf != b"bcrypt" or CIPHER.fullmatch(cipher) is None:
        raise ValueError
    options.get_string()  # the salt
    if not 1 <= options.get_uint32() <= MOST_ROUNDS:
        raise KeyNotReadable(ROUNDS)
    return public


def generate_ed25519() -> tuple[str, PrivateKeyFile]:
    """A file, and what may be told about it."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    text = key.export_private_key("openssh").decode()
    return text, read_key_file(text)

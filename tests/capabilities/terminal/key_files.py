"""Private keys as users have them, each made when a test asks for it."""

import struct
from base64 import b64decode, b64encode
from typing import Any

import asyncssh

PASSPHRASE = "tulip orbit canoe"


def key_file(
    algorithm: str = "ssh-ed25519", *, form: str = "openssh", passphrase: str | None = None, **options: Any
) -> str:
    """Few rounds of bcrypt, because tests open many. `options`: of the algorithm."""
    key = asyncssh.generate_private_key(algorithm, **options)
    return str(key.export_private_key(form, passphrase, rounds=1, ignore_few_rounds=True).decode())


def with_rounds(file: str, rounds: int) -> str:
    """An OpenSSH file with a passphrase that says it needs so many rounds of bcrypt."""
    head, *lines, foot = file.strip().splitlines()
    content = b64decode("".join(lines))
    at = content.index(b"bcrypt") + len(b"bcrypt")
    salt_length = struct.unpack(">I", content[at + 4 : at + 8])[0]
    at += 8 + salt_length
    changed = content[:at] + struct.pack(">I", rounds) + content[at + 4 :]
    return "\n".join((head, b64encode(changed).decode(), foot, ""))


def certificate() -> str:
    key = asyncssh.generate_private_key("ssh-ed25519")
    return str(key.generate_user_certificate(key, "x", principals=["root"]).export_certificate().decode())


def public_key() -> str:
    return str(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode())

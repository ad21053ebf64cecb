"""How requests about private keys are refused."""

from security.edge.problems import Problem


class KeyNotReadable(Problem):
    """The detail says what to do about it. It never repeats anything of the file."""

    status, error = 422, "key_not_readable"
    title = (
        "This is not a private key that we can read. Send the whole file, from BEGIN to END, in OpenSSH or PEM format"
    )


class SshKeyInUse(Problem):
    status, error = 409, "key_in_use"
    title = "A profile signs in with this key. Change or delete the profile first"


class TooManySshKeys(Problem):
    status, error, title = 409, "too_many_ssh_keys", "Your plan allows no more SSH keys. Delete one first"

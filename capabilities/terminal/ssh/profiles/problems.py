"""How requests about profiles are refused."""

from security.edge.problems import Problem


class ProfileExists(Problem):
    status, error, title = 409, "profile_exists", "You already have a profile with this name"


class TooManyProfiles(Problem):
    status, error, title = 409, "too_many_profiles", "Your plan allows no more profiles. Delete one first"

"""What can go wrong about who is calling."""

from modelyard.core.errors import Unauthenticated, Unavailable


class WrongLogin(Unauthenticated):
    """The name or the password is wrong; which one is not said."""

    code = "wrong_login"


class TooManyLogins(Unavailable):
    """More password checks at once than are allowed."""

    code = "too_many_logins"

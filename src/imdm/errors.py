"""The one exception for a user's mistake."""


class UserError(Exception):
    """A mistake that the user can mend.

    Its text is one sentence that names the file or key and what to change.
    Stages print it without a traceback and exit with code 2.
    """

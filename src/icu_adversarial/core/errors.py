"""The error for mistakes that a user can correct. It is printed without a traceback."""


class InputError(Exception):
    """A message of one line: the file or key, what was found, what was expected, what to do."""

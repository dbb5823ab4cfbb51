"""What a user can cause and can mend: told in one line, without a traceback."""


class InputError(Exception):
    """One line that names the file or key, what was found, what was expected, and what to do."""

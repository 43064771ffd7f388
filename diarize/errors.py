"""The one exception that stands for a user's mistake or a bad input."""


class DiarizeError(Exception):
    """Bad input, bad configuration or an environment that does not allow the work.

    The message names the file, the line or recording, and what to do.  Commands
    print it on one line, without a traceback, and exit with status 1.
    """

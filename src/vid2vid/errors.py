"""Errors a user can cause or meet. The command line prints each as one line, without a traceback."""


class UserError(Exception):
    """Bad input. The message is one line: the file or key, what is wrong, the mend. Exit code 2."""


class Diverged(Exception):
    """Training cannot continue: the loss named in the message stayed non-finite. Exit code 3."""


class Disbanded(Exception):
    """The processes of a training have come apart: one is gone, or not like the others. Exit code 1."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as schedulers send it: what Ctrl-C is, but exit code 143."""

"""The one exception for a user's mistake, and what a command line makes of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class UserError(Exception):
    """A mistake that the user can mend.

    Its text is one sentence that names the file or key and what to change.
    Stages print it without a traceback and exit with code 2.
    A damaged file may have put a whole page, or a line break, into one of its values: the text is cut to one line of 1,000 characters.
    """

    def __init__(self, text: str) -> None:
        line = "".join(char if char.isprintable() else " " for char in text)
        super().__init__(line if len(line) <= 1000 else f"{line[:700]} ... {line[-295:]}")


def exit_code(tool: str, work: Callable[[], int | None]) -> int:
    """Do a tool's work; its exit code, or 2 and one sentence for a user's mistake, such as a file that can't be read or written."""
    try:
        code = work() or 0
        sys.stdout.flush()  # here, since Python's own flush at the end would print a closed pipe
        return code
    except UserError as error:
        print(f"{tool}: {error}", file=sys.stderr)
    except BrokenPipeError:  # whoever read the output has what he wanted, as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        reason = f"{error.filename or 'the output'} can't be used ({error.strerror or error})"
        print(f"{tool}: {reason}; correct the path or its permissions.", file=sys.stderr)
    return 2

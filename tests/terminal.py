"""A command in a terminal of a given width, and what a person reads there."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")
LINES = 50


def screen(folder: Path, *command: str, environment: dict[str, str], columns: int = 120) -> str:
    """The text that a command writes on a terminal, without colours.

    Args:
        folder: Where the command runs.
        command: The program and its arguments. It must succeed.
        environment: Its variables. Those that overrule the size of the terminal are left out.
        columns: The width of the terminal in characters.
    """
    variables = {k: v for k, v in environment.items() if k not in ("COLUMNS", "LINES", "PAGER")}
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    with subprocess.Popen(
        command,
        cwd=folder,
        env=variables | {"TERM": "xterm"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    ) as process:
        os.close(follower)
        parts = []
        try:
            while part := os.read(leader, 65536):
                parts.append(part)
        except OSError:  # Linux: the command closed its end
            pass
    os.close(leader)
    text = STYLES.sub("", b"".join(parts).decode())
    assert process.returncode == 0, text
    return text

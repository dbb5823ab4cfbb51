"""The command that comes after `fetch` and `validate`, ready to be pasted into a shell."""

import re
import shlex
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z0-9_.-]*/[A-Za-z0-9_./-]*")  # a slash: no number, no `null`


def command(source: str, raw: Path) -> str:
    """`dvc exp run` with another data set.

    Args:
        source: For extract.source.
        raw: For extract.raw; its name may hold any character but a line break.

    Returns:
        One line, quoted for a POSIX shell and for Hydra, which reads the values of `-S`.
    """
    option = f"extract.raw={hydra_quoted(str(raw))}"
    readable = "'" in option and not re.search(r'[\\"$`!]', option)
    quoted = f'"{option}"' if readable else shlex.quote(option)
    return f"dvc exp run -S extract.source={source} -S {quoted}"


def hydra_quoted(text: str) -> str:
    """`text` as Hydra's grammar of overrides reads it.

    A plain path needs no quotes. Inside quotes, Hydra reads backslashes before a quote as escapes,
    and OmegaConf reads those before ${, which begins an interpolation.
    """
    if PLAIN.fullmatch(text):
        return text
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"

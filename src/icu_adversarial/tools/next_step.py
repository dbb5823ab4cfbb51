"""The command after `fetch` and `validate`, which can be copied to a shell."""

import re
import shlex
from pathlib import Path

# The slash excludes numbers and words such as `null`.
PLAIN = re.compile(r"[A-Za-z0-9_.-]*/[A-Za-z0-9_./-]*")


def command(source: str, raw: Path) -> str:
    """The call of `dvc exp run` with another data set.

    Args:
        source: The value of extract.source.
        raw: The value of extract.raw. Its name may contain any character except a line break.

    Returns:
        One line, quoted for a POSIX shell and for Hydra, which reads the values of `-S`.
    """
    option = f"extract.raw={hydra_quoted(str(raw))}"
    readable = "'" in option and not re.search(r'[\\"$`!]', option)
    quoted = f'"{option}"' if readable else shlex.quote(option)
    return f"dvc exp run -S extract.source={source} -S {quoted}"


def hydra_quoted(text: str) -> str:
    """Quote a text for the grammar of overrides of Hydra.

    A plain path needs no quotes. Inside quotes, Hydra reads backslashes before a quote as escapes,
    and OmegaConf reads those before ${, which begins an interpolation.
    """
    if PLAIN.fullmatch(text):
        return text
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"

"""The command that `validate` and `fetch` print, parsed by a shell, by Hydra and by OmegaConf."""

import shlex
import subprocess
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from icu_adversarial.tools.next_step import command

NAMES = [
    "mimic-iii (1)",
    "run[1]",
    "{a}",
    "a,b",
    "a=b",
    "~a",
    "#a",
    "it's",
    'the "real" one',
    "données",
    "數據",
    "$HOME",
    "${HOME}",
    "\\${x}",
    "back\\slash",
    "end\\",
    "end\\'",
    "a:b",
    "*?!&;|<>%@`date`",
    "null",
    "true",
    "2012",
    "1e5",
    "two  blanks",
    " blank ",
    "-S",
]


def read_by_dvc(words: list[str]) -> str:
    """extract.raw as DVC sets it from these words."""
    assert words[:4] == ["dvc", "exp", "run", "-S"]
    assert words[4] == "extract.source=mimiciii"
    assert words[5] == "-S"
    override = OverridesParser.create().parse_override(words[6])
    assert override.key_or_group == "extract.raw"
    config = OmegaConf.create({"raw": override.value()})
    return str(OmegaConf.to_container(config, resolve=True)["raw"])  # type: ignore[index,call-overload]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("folder", ["", "/data/", "data/raw/"])
def test_the_command_names_the_folder_to_a_shell_and_to_hydra(name: str, folder: str) -> None:
    said = command("mimiciii", Path(f"{folder}{name}"))
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {said}"], capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]
    assert words == shlex.split(said)
    assert read_by_dvc(words) == str(Path(f"{folder}{name}"))


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1))
def test_any_name(name: str) -> None:
    path = Path(name)
    assert read_by_dvc(shlex.split(command("mimiciii", path))) == str(path)


def test_what_needs_no_quotes_has_none() -> None:
    assert command("eicu", Path("data/raw/eicu-demo")) == (
        "dvc exp run -S extract.source=eicu -S extract.raw=data/raw/eicu-demo"
    )
    assert command("meds", Path("my data")).endswith("""-S "extract.raw='my data'\"""")

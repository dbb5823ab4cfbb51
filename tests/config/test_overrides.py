"""What `dvc exp run -S KEY=VALUE` does to params.yaml, with DVC's own function for it."""

import re
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from icu_adversarial.config.params import load_params

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "params.yaml").read_text()
CONTENT = YAML(typ="safe").load(TEXT)


def leaves(content: Any, *path: str) -> dict[tuple[str, ...], Any]:
    """Every key of params.yaml with a value that is no block, by its path."""
    if not isinstance(content, dict) or not content:
        return {path: content}
    return {p: v for name, part in content.items() for p, v in leaves(part, *path, name).items()}


KEYS = {path: value for path, value in leaves(CONTENT).items() if value != {}}


def other(value: Any) -> Any:
    """Another value of the same kind, which need not make sense. A null becomes a number."""
    match value:
        case bool():
            return not value
        case None:
            return 7
        case int() | float():
            return value + 1
        case str():
            return "x"
    return value[1:] or ["one", "two"]


def option(path: tuple[str, ...], value: Any) -> str:
    """What stands after -S."""

    def written(item: Any) -> str:
        if isinstance(item, list):
            return f"[{','.join(map(written, item))}]"
        if isinstance(item, str):
            return "'" + item.replace("'", r"\'") + "'"
        return "null" if item is None else str(item).lower()

    return f"{'.'.join(path)}={written(value)}"


def set_value(content: Any, path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        content = content[name]
    content[path[-1]] = value


def without(text: str, keys: list[tuple[str, ...]]) -> list[str]:
    """The lines of a file but for those that hold one of the keys or an item of a list."""
    names = {key[-1] for key in keys} | {key[-2] for key in keys if key[-1] in ("low", "mean")}
    lines = [line.strip() for line in text.splitlines()]
    return [x for x in lines if not x.startswith("- ") and x.partition(":")[0] not in names]


def comments(text: str) -> list[str]:
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT)
    return path


def test_an_override_with_the_same_value_changes_no_byte(file: Path) -> None:
    apply_overrides(file, [option(path, value) for path, value in KEYS.items()])
    assert file.read_text() == TEXT


@pytest.mark.parametrize("backward", [False, True])
def test_every_key_can_be_changed_and_changed_back_in_either_order(
    file: Path, backward: bool
) -> None:
    """The overrides of a block change the lines of its keys and no other, and lose no comment."""
    expected = YAML(typ="safe").load(TEXT)
    blocks = list(dict.fromkeys(path[0] for path in KEYS))
    for changed in (True, False):
        for block in reversed(blocks) if backward else blocks:
            keys = [path for path in KEYS if path[0] == block]
            values = {path: other(KEYS[path]) if changed else KEYS[path] for path in keys}
            before = file.read_text()
            options = [option(path, value) for path, value in values.items()]
            apply_overrides(file, options[::-1] if backward else options)
            for path, value in values.items():
                set_value(expected, path, value)
            after = file.read_text()
            assert YAML(typ="safe").load(after) == expected, block
            assert comments(after) == comments(TEXT), block
            assert without(before, keys) == without(after, keys), block
    assert file.read_text() == TEXT
    assert load_params(file) == load_params(ROOT / "params.yaml")


@pytest.mark.parametrize("name", ["analyze.patients", "model.n_lstm", "split.folds", "train.seed"])
def test_an_override_changes_one_line(file: Path, name: str) -> None:
    for number in (12, 3):
        before = file.read_text().splitlines()
        apply_overrides(file, [f"{name}={number}"])
        after = file.read_text().splitlines()
        changed = [new for old, new in zip(before, after, strict=True) if old != new]
        assert len(changed) == 1
        assert changed[0].split("#")[0].strip() == f"{name.split('.')[1]}: {number}"


@pytest.mark.parametrize("profile", sorted(file.name for file in (ROOT / "profiles").iterdir()))
def test_a_profile_can_follow_an_override_and_another_profile(file: Path, profile: str) -> None:
    apply_overrides(file, ["analyze.patients=3"])
    for name in ("prior", profile):
        lines = (ROOT / "profiles" / name).read_text().splitlines()
        apply_overrides(file, [line.removeprefix("-S ") for line in lines])
    assert load_params(file).analyze.patients == 3
    assert comments(file.read_text()) == comments(TEXT)


# Blocks whose comment covers all of their keys, and a key that shares the comment of the one before.
COVERED = (
    "features.upper_percentile",
    "tune_model.first",
    "tune_model.space",
    "baselines.space",
    "literature.features",
    "literature.train",
    "literature.model",
    "literature.rows",
)


def test_every_key_has_a_comment() -> None:
    """Above it, to the right of it, or below it."""
    lines, path, seen = TEXT.splitlines(), [], 0
    for i, line in enumerate(lines):
        match = re.match(r"( *)(\w+):(?!.*: )", line.split("#")[0].split("{")[0])
        if not match:
            continue
        path = [*path[: len(match[1]) // 2], match[2]]
        name = ".".join(path)
        if any(name.startswith(f"{block}.") or name == COVERED[0] for block in COVERED):
            continue
        near = (lines[i - 1].strip()[:1], lines[i + 1].strip()[:1] if i + 1 < len(lines) else "")
        assert "#" in (*near, line[line.find("#") :][:1]), name
        seen += 1
    assert seen > 90

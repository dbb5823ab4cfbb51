"""Values of params.yaml that a search chooses, and the refusal of values that it would overrule.

`load_params` calls both functions, because only the file shows which values a user wrote.
"""

from collections.abc import Iterator
from typing import Any

from icu_adversarial.config.base import Block, Range

TUNED = (
    "tuned"  # in `model`: the search chooses this value, beginning with that of tune_model.first
)


def fill(content: Any) -> Any:
    """Replace each `tuned` of the block `model` by the value of `tune_model.first`.

    Args:
        content: What params.yaml contains.

    Returns:
        The same with the values. A file without these blocks is returned as it is.

    Raises:
        ValueError: There is a search, and `model` has a value that it would overrule.
    """
    try:
        model, search = content["model"], content["tune_model"]
        first, space = dict(search["first"]), dict(search["space"])
        written = {name: model[name] for name in first if model[name] != TUNED}
    except (KeyError, TypeError, ValueError):
        return content  # the check of the whole file says what is wrong
    if written and search.get("trials") != 0:
        raise ValueError(_overruled(written, space, search.get("trials")))
    return content | {"model": model | first | written}


def _overruled(written: dict[str, Any], space: dict[str, Any], trials: Any) -> str:
    """Say which values have no effect, and give the commands that do what may be meant."""
    names = " and ".join(f"model.{name} {value}" for name, value in written.items())
    exactly = " ".join(f"-S model.{name}={value}" for name, value in written.items())
    decay = " -S model.weight_decay=0" if written.get("optimizer", "adam") != "adam" else ""
    message = (
        f"{names} would be overruled by the search (tune_model.trials {trials}). Without a search: "
        f"`dvc exp run -S tune_model.trials=0 {exactly}{decay}`"
    )
    ranges = [_only(name, value, space) for name, value in written.items()]
    if None in ranges:
        return message
    kept = [
        f"-S model.{name}={TUNED} -S tune_model.first.{name}={value} {only}"
        for (name, value), only in zip(written.items(), ranges, strict=True)
    ]
    return f"{message}. To search the other settings: `dvc exp run {' '.join(kept)}{decay}`"


def _only(name: str, value: Any, space: dict[str, Any]) -> str | None:
    """The options that leave one value in a space. None if no range of whole exponents has it."""
    key, chosen = name, value
    if f"log2_{name}" in space:
        if not isinstance(value, int) or value < 1 or value & (value - 1):
            return None
        key, chosen = f"log2_{name}", value.bit_length() - 1
    path = f"-S tune_model.space.{key}"
    if isinstance(space.get(key), dict):
        return f"{path}.low={chosen} {path}.high={chosen}"
    return f"{path}=[{chosen}]"


def outside(path: str, first: Block, space: Block) -> Iterator[str]:
    """Name each setting of a first trial that its space does not contain.

    Args:
        path: Where both are in params.yaml, with {} in place of `first` or `space`.
        first: The settings of the first trial.
        space: Their ranges.
    """
    for name in type(space).model_fields:
        plain = name.removeprefix("log2_")
        entry, value = getattr(space, name), getattr(first, plain)
        if isinstance(entry, Range):
            low, high = (2**v if name != plain else v for v in (entry.low, entry.high))
            whole = name == plain or value & (value - 1) == 0
            inside, allowed = low <= value <= high and whole, f"{low:g} to {high:g}"
            allowed += "" if name == plain else ", powers of 2"
        else:
            inside, allowed = value in entry, f"one of {', '.join(map(str, entry))}"
        if not inside:
            yield (
                f"{path.format('first')}.{plain}: {value} is outside {path.format('space')}.{name} "
                f"({allowed}): change one of them"
            )

"""Values of params.yaml that a search chooses, and the refusal of values that it would overrule.

params.py calls these functions, because only the file shows which values a user wrote.
"""

import shlex
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

from icu_adversarial.config.base import Block, Range
from icu_adversarial.config.model import Model
from icu_adversarial.config.tune_model import FirstTrial, TuneModel

TUNED = (
    "tuned"  # in `model`: the search chooses this value, beginning with that of tune_model.first
)
LAYER = 16  # units of a suggested fully connected layer, if the search has none
Settings = dict[str, Any]  # values by their path in params.yaml


def fill(content: Any) -> Any:
    """Replace each `tuned` of the block `model` by the value of `tune_model.first`.

    Args:
        content: What params.yaml contains.

    Returns:
        The same with the values. A file without these blocks is returned as it is.
    """
    try:
        model, first = content["model"], dict(content["tune_model"]["first"])
        filled = {name: value for name, value in first.items() if model[name] == TUNED}
    except (KeyError, TypeError, ValueError):
        return content  # the check of the whole file says what is wrong
    return content | {"model": model | filled}


def is_filled(content: Any, keys: tuple[int | str, ...]) -> bool:
    """Whether a value comes from `tune_model.first`. An error in it is reported there.

    Args:
        content: What params.yaml contains.
        keys: The path of the value.
    """
    searched = len(keys) == 2 and keys[0] == "model" and keys[1] in FirstTrial.model_fields
    return searched and content["model"].get(keys[1]) == TUNED


def overruled(
    content: Any, model: Model, search: TuneModel, accepts: Callable[[Any], bool]
) -> Iterator[str]:
    """Say which values of `model` have no effect, and give commands that do what may be meant.

    Args:
        content: What params.yaml contains.
        model: Its block `model`, checked.
        search: Its block `tune_model`, checked.
        accepts: Whether params.yaml may have a content. Other commands are not suggested.
    """
    names = [name for name in FirstTrial.model_fields if content["model"][name] != TUNED]
    if not names or not search.trials:
        return
    written = {name: getattr(model, name) for name in names}
    advice = {
        "Without a search": _without_search(written, model, search),
        "To search the other settings": _kept(written, search),
    }
    commands = [
        f"{when}: `dvc exp run {_options(settings)}`"
        for when, settings in advice.items()
        if settings and accepts(_changed(content, settings))
    ]
    listed = " and ".join(f"model.{name} {value}" for name, value in written.items())
    reason = f"{listed} would be overruled by the search (tune_model.trials {search.trials})"
    yield ". ".join([reason, *commands]) if commands else f"{reason}: set it to {TUNED}"


def _without_search(written: Settings, model: Model, search: TuneModel) -> Settings:
    """The settings for a training with exactly the written values."""
    settings = {"tune_model.trials": 0} | {f"model.{name}": v for name, v in written.items()}
    if "fc_activation" in model.unused() and "n_fc" not in written:
        settings["model.n_fc"] = next((n for n in search.space.n_fc if n), LAYER)
    return settings | _decay(written)


def _kept(written: Settings, search: TuneModel) -> Settings | None:
    """The settings for a search that only tries the written values, if its ranges can hold them."""
    settings: Settings = {}
    for name, value in written.items():
        settings |= {f"model.{name}": TUNED, f"tune_model.first.{name}": value}
        key, chosen = name, value
        if f"log2_{name}" in type(search.space).model_fields:
            if value & (value - 1):
                return None  # no whole exponent gives it
            key, chosen = f"log2_{name}", value.bit_length() - 1
        path = f"tune_model.space.{key}"
        if isinstance(getattr(search.space, key), Range):
            settings |= {f"{path}.low": chosen, f"{path}.high": chosen}
        else:
            settings[path] = [chosen]
    return settings | _decay(written)


def _decay(written: Settings) -> Settings:
    """Only adam has a weight decay."""
    return {"model.weight_decay": 0} if written.get("optimizer", "adam") != "adam" else {}


def _options(settings: Settings) -> str:
    """Settings as options of `dvc exp run`. Some shells take a list for a pattern of file names."""
    texts = {
        path: f"[{','.join(map(str, value))}]" if isinstance(value, list) else value
        for path, value in settings.items()
    }
    return " ".join(f"-S {shlex.quote(f'{path}={text}')}" for path, text in texts.items())


def _changed(content: Any, settings: Settings) -> Any:
    """What params.yaml contains after `dvc exp run` with these settings."""
    content = deepcopy(content)
    for path, value in settings.items():
        *blocks, key = path.split(".")
        block = content
        for name in blocks:
            block = block[name]
        block[key] = value
    return content


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

"""From a block of ranges in params.yaml to the hyperparameters of a trial."""

from typing import Any

from optuna import Trial

from icu_adversarial.config.base import Block, IntRange, Range


def suggest(trial: Trial, space: Block) -> dict[str, Any]:
    """Draw every entry of `space` (IntRange, Range, or a tuple of choices) and decode it."""
    drawn: dict[str, Any] = {}
    for name in type(space).model_fields:
        entry = getattr(space, name)
        if isinstance(entry, IntRange):
            drawn[name] = trial.suggest_int(name, entry.low, entry.high, log=entry.log)
        elif isinstance(entry, Range):
            drawn[name] = trial.suggest_float(name, entry.low, entry.high, log=entry.log)
        else:
            drawn[name] = trial.suggest_categorical(name, entry)
    return decode(drawn)


def decode(drawn: dict[str, Any]) -> dict[str, Any]:
    """`log2_n_lstm: 7` becomes `n_lstm: 128`; the rest stays as it is."""
    return {
        name.removeprefix("log2_"): 2**value if name.startswith("log2_") else value
        for name, value in drawn.items()
    }


def encode(values: dict[str, Any], space: Block) -> dict[str, Any] | None:
    """What `suggest` would have to draw to return these values; None if the space does not hold them."""
    drawn: dict[str, Any] = {}
    for name in type(space).model_fields:
        entry, value = getattr(space, name), values[name.removeprefix("log2_")]
        if name.startswith("log2_"):
            value = value.bit_length() - 1 if value > 0 and value & (value - 1) == 0 else -1
        if not (entry.low <= value <= entry.high if isinstance(entry, Range) else value in entry):
            return None
        drawn[name] = value
    return drawn

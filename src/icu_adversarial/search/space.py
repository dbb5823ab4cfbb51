"""From a block of ranges in params.yaml to the hyperparameters of a trial."""

from typing import Any

from optuna import Trial

from icu_adversarial.config.base import Block, IntRange, Range

# The last of 16 digits that the sampler draws depends on where its arrays lie in memory.
DIGITS = 12


def suggest(trial: Trial, space: Block) -> dict[str, Any]:
    """Draw every hyperparameter of a search space.

    Args:
        trial: The trial that draws.
        space: Its entries are an IntRange, a Range or a tuple of choices.

    Returns:
        The hyperparameters, as from `decode`.
    """
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
    """Turn `log2_n_lstm: 7` into `n_lstm: 128`, and round numbers to DIGITS."""
    return {
        name.removeprefix("log2_"): 2**value if name.startswith("log2_") else _rounded(value)
        for name, value in drawn.items()
    }


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def encode(values: dict[str, Any], space: Block) -> dict[str, Any] | None:
    """The reverse of `decode`: what a trial must draw to get these values.

    Args:
        values: The hyperparameters; others may be among them.
        space: The search space.

    Returns:
        The parameters of the trial. None if the space does not contain the values.
    """
    drawn: dict[str, Any] = {}
    for name in type(space).model_fields:
        entry, value = getattr(space, name), values[name.removeprefix("log2_")]
        if name.startswith("log2_"):
            value = value.bit_length() - 1 if value > 0 and value & (value - 1) == 0 else -1
        if not (entry.low <= value <= entry.high if isinstance(entry, Range) else value in entry):
            return None
        drawn[name] = value
    return drawn

"""The whole of params.yaml, and the only function that reads the file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from icu_adversarial.config.analyze import Analyze
from icu_adversarial.config.attack import Attack
from icu_adversarial.config.base import (
    Block,
    Distinct,
    NotEmpty,
    Objective,
    Positive,
    describe,
)
from icu_adversarial.config.baselines import Baselines
from icu_adversarial.config.evaluate import Evaluate
from icu_adversarial.config.extract import Extract
from icu_adversarial.config.features import Features
from icu_adversarial.config.gate import Gate
from icu_adversarial.config.learning_curve import LearningCurve
from icu_adversarial.config.literature import Literature
from icu_adversarial.config.measurements import Measurements, check_use
from icu_adversarial.config.model import Model
from icu_adversarial.config.outcome import Predicted
from icu_adversarial.config.preprocess import Preprocess
from icu_adversarial.config.split import Split
from icu_adversarial.config.stress import Stress
from icu_adversarial.config.synthesize import Synthesize
from icu_adversarial.config.train import NO_PATIENCE, Train
from icu_adversarial.config.tune_attack import MAX_PERTS, TuneAttack
from icu_adversarial.config.tune_model import TuneModel
from icu_adversarial.config.tuned import fill, is_filled, outside, overruled
from icu_adversarial.core.errors import InputError
from icu_adversarial.core.labels import label_of
from icu_adversarial.measurements import columns_of, names_of

PARAMS_FILE = Path("params.yaml")


class Params(Block):
    """The whole of params.yaml."""

    window_hours: Annotated[int, Field(ge=2, le=127)]
    bin_hours: Positive
    measurements: Measurements
    outcome: Predicted
    objectives: Annotated[tuple[Objective, ...], NotEmpty, Distinct]
    split: Split
    synthesize: Synthesize
    extract: Extract
    preprocess: Preprocess
    features: Features
    model: Model
    tune_model: TuneModel
    train: Train
    evaluate: Evaluate
    baselines: Baselines
    literature: Literature
    learning_curve: LearningCurve
    tune_attack: TuneAttack
    attack: Attack
    analyze: Analyze
    stress: Stress
    gate: Gate

    @model_validator(mode="after")
    def _whole_bins(self) -> Self:
        if self.window_hours % self.bin_hours:
            raise ValueError(
                f"bin_hours {self.bin_hours} does not divide window_hours {self.window_hours}: "
                "choose one that does"
            )
        return self

    @model_validator(mode="after")
    def _outcome_after_the_window(self) -> Self:
        end = self.window_hours + self.preprocess.gap_hours
        if self.outcome.days is not None and self.outcome.days * 24 <= end:
            raise ValueError(
                f"outcome: {self.outcome.phrase}: {self.outcome.days * 24} hours must be more than "
                f"window_hours + preprocess.gap_hours, {end:g}: choose more days"
            )
        return self

    @model_validator(mode="after")
    def _unobserved_values_are_marked(self) -> Self:
        if self.features.interpolation == "none" and "observed" not in self.model.extra_channels:
            raise ValueError(
                "features.interpolation none needs observed among model.extra_channels, because a "
                "network reads an unobserved value as 0"
            )
        return self

    @model_validator(mode="after")
    def _every_setting_has_an_effect(self) -> Self:
        found = [f"model.{reason}" for reason in self._unused_of_the_network()]
        if self.train.patience is not None and self.model.keep == "last":
            found.append(f"train.{NO_PATIENCE.format(self.train.patience)}")
        perts = self.tune_attack.max_perts
        if "max_num_nonzero_perts" not in self.objectives and perts != MAX_PERTS:
            found.append(
                f"tune_attack.max_perts {perts} has no effect without max_num_nonzero_perts among "
                f"objectives: set it to {MAX_PERTS}"
            )
        if found:
            raise ValueError("; ".join(found))
        return self

    def _unused_of_the_network(self) -> list[str]:
        """Settings of `model` that have no effect on any network that is trained."""
        if self.tune_model.trials == 0:
            return list(self.model.unused().values())
        if self.model.weight_decay and "adam" not in self.tune_model.space.optimizer:
            return [
                f"weight_decay {self.model.weight_decay:g} has no effect without adam in "
                "tune_model.space.optimizer: set it to 0"
            ]
        return []

    @model_validator(mode="after")
    def _measurements_are_used(self) -> Self:
        check_use(self.names, self.extract, self.model.static_inputs)
        return self

    @property
    def label(self) -> str:
        """What figures, tables and reports call the data and the outcome."""
        return label_of(self.extract.source, self.outcome)

    @property
    def names(self) -> tuple[str, ...]:
        """The measurements that are read."""
        return names_of(self.measurements)

    @property
    def columns(self) -> tuple[str, ...]:
        """The measurements that are columns of the grid; M = len(columns)."""
        return columns_of(self.names)

    @property
    def hours(self) -> range:
        """The first hour of each bin of the window; T = len(hours)."""
        return range(0, self.window_hours, self.bin_hours)

    @property
    def cells(self) -> int:
        """Number of cells of the grid of a stay, T * M."""
        return len(self.hours) * len(self.columns)


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check the settings.

    ruamel reads YAML 1.2, in which 1e-06 (as DVC writes it) is a number. PyYAML makes it a string.

    Args:
        path: params.yaml.

    Returns:
        The settings. Each `tuned` of the block `model` is replaced by the value in
        `tune_model.first`.

    Raises:
        InputError: The file cannot be used. One line says why and how to take changes back.
    """
    try:
        return _checked(YAML(typ="safe").load(path))
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing in {Path.cwd()}: run from the root of the repository"
        ) from None
    except YAMLError as error:
        reason = f"it is not YAML: {' '.join(str(error).split())}"
    except ValueError as error:
        reason = str(error)
    # DVC leaves the values of -S in the file
    raise InputError(
        f"{path}: {reason} (to take all changes of the file back: git checkout {path})"
    )


def _checked(content: Any) -> Params:
    """The settings in what params.yaml contains. Raises ValueError with all reasons against it."""
    try:
        params = Params.model_validate(fill(content))
    except ValidationError as error:
        errors = [e for e in error.errors(include_url=False) if not is_filled(content, e["loc"])]
        raise ValueError("; ".join(describe(errors))) from None
    refused = [
        *overruled(content, params.model, params.tune_model, _accepts),
        *_first_trials_outside(params),
    ]
    if refused:
        raise ValueError("; ".join(refused))
    return params


def _accepts(content: Any) -> bool:
    """Whether params.yaml may contain this."""
    try:
        _checked(content)
    except ValueError:
        return False
    return True


def _first_trials_outside(params: Params) -> Iterator[str]:
    """Name each setting of a first trial that a search could not try."""
    tune, baselines = params.tune_model, params.baselines
    if tune.trials:
        yield from outside("tune_model.{}", tune.first, tune.space)
    if tune.trials if baselines.trials is None else baselines.trials:
        for name in type(baselines.first).model_fields:
            first, space = getattr(baselines.first, name), getattr(baselines.space, name)
            yield from outside(f"baselines.{{}}.{name}", first, space)

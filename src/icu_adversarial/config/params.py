"""The whole of params.yaml, and the only function that reads the file."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from icu_adversarial.config.analyze import Analyze
from icu_adversarial.config.attack import Attack
from icu_adversarial.config.base import Block, Objective, Positive, describe_error
from icu_adversarial.config.baselines import Baselines
from icu_adversarial.config.evaluate import Evaluate
from icu_adversarial.config.extract import Extract
from icu_adversarial.config.features import Features
from icu_adversarial.config.learning_curve import LearningCurve
from icu_adversarial.config.literature import Literature
from icu_adversarial.config.model import Model
from icu_adversarial.config.preprocess import Preprocess
from icu_adversarial.config.split import Split
from icu_adversarial.config.synthesize import Synthesize
from icu_adversarial.config.train import Train
from icu_adversarial.config.tune_attack import TuneAttack
from icu_adversarial.config.tune_model import TuneModel
from icu_adversarial.core.errors import InputError

PARAMS_FILE = Path("params.yaml")


class Params(Block):
    """The whole of params.yaml."""

    window_hours: Annotated[int, Field(ge=2, le=127)]
    bin_hours: Positive
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
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

    @model_validator(mode="after")
    def _whole_bins(self) -> Self:
        if self.window_hours % self.bin_hours:
            raise ValueError(
                f"bin_hours {self.bin_hours} does not divide window_hours {self.window_hours}: choose one that does"
            )
        return self

    @model_validator(mode="after")
    def _unobserved_values_are_marked(self) -> Self:
        if self.features.interpolation == "none" and "observed" not in self.model.extra_channels:
            raise ValueError(
                "features.interpolation none needs observed among model.extra_channels: a network reads an unobserved value as 0"
            )
        return self

    @property
    def hours(self) -> range:
        """The first hour of each bin of the window; T = len(hours)."""
        return range(0, self.window_hours, self.bin_hours)


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check `path`.

    ruamel reads YAML 1.2, where 1e-06 (as DVC writes it) is a number; PyYAML makes it a string.
    Raises InputError with one line per wrong key.
    """
    try:
        return Params.model_validate(YAML(typ="safe").load(path))
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing in {Path.cwd()}: run from the root of the repository"
        ) from None
    except YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise InputError(
            "; ".join(f"{path}: {describe_error(e)}" for e in error.errors(include_url=False))
        ) from None

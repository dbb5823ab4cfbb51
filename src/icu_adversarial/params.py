"""params.yaml as frozen, typed models: the only reader of that file."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from icu_adversarial.errors import InputError
from icu_adversarial.paths import MODELS, SYNTHETIC

PARAMS_FILE = Path("params.yaml")
CODE_MAP = Path("code_maps/mimiciv_meds.csv")  # of extract.code_map, where nothing reads it

LABELS = {
    "synthetic": "synthetic hospital (not real patients)",
    "mimiciii": "MIMIC-III",
    "mimiciv": "MIMIC-IV",
    "eicu": "eICU-CRD",
    "challenge2012": "PhysioNet Challenge 2012",
    "meds": "MEDS",
}

Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Objective = Literal[
    "robust_l1",
    "robust_l0",
    "sparsity",
    "max_num_nonzero_perts",
    "sparse_small",
    "sparse_small_max",
]
Method = Literal["auto", "l1", "l0", "prior", "sun"]
Activation = Literal["relu", "tanh"]
OptimizerName = Literal["adam", "rmsprop", "sgd"]
Architecture = Literal["lstm", "pooled_lstm", "gru_d"]
Channel = Literal["observed", "hours_since_observed"]
StaticInput = Literal["age", "sex", "icu_type"]


class Block(BaseModel):
    """A part of params.yaml: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Range(Block):
    """Where a search looks: low <= value <= high, on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} lies above high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range starts above 0, not at {self.low:g}")
        return self


class IntRange(Range):
    """A range of whole numbers."""

    low: int
    high: int


def within(lowest: float, highest: float) -> AfterValidator:
    """Of a Range: lowest <= low and high <= highest."""

    def check(found: Range) -> Range:
        if not (lowest <= found.low and found.high <= highest):
            raise ValueError(
                f"the range must lie within {lowest:g} and {highest:g}: found {found.low:g} to {found.high:g}"
            )
        return found

    return AfterValidator(check)


class Split(Block):
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_groups: tuple[str, ...]
    folds: Annotated[int, Field(ge=2, le=127)]
    seed: Seed


class Synthesize(Block):
    stays: Positive
    seed: Seed


class Extract(Block):
    source: Literal["synthetic", "mimiciii", "mimiciv", "eicu", "challenge2012", "meds"]
    raw: Path
    potassium: Literal["both", "blood_gas"]
    code_map: Path

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if (self.source == "synthetic") != (self.raw == SYNTHETIC):
            raise ValueError(
                f"source synthetic and raw {SYNTHETIC} go together: set both extract.source and extract.raw"
            )
        if self.source != "meds" and self.code_map != CODE_MAP:
            raise ValueError(
                f"code_map {self.code_map} has no effect with source {self.source}: only meds reads"
                f" it: leave it at {CODE_MAP}"
            )
        return self

    @property
    def label(self) -> str:
        """What every figure, table and report calls the data."""
        return LABELS[self.source]


class Preprocess(Block):
    stays: Literal["all", "first_of_admission", "first_of_subject"]
    min_age: Annotated[float, Field(ge=0, le=90)]
    min_hospital_hours: Annotated[float, Field(ge=0)]
    min_icu_hours: Annotated[float, Field(ge=0)]
    gap_hours: Annotated[float, Field(ge=0)]
    min_observed_cells: Annotated[int, Field(ge=0)]


class Features(Block):
    interpolation: Literal["linear", "previous", "none"]
    limit_direction: Literal["both", "forward", "backward"]
    lower_percentile: Annotated[float, Field(ge=0, le=100)]
    upper_percentile: Annotated[float, Field(ge=0, le=100)]
    winsorise: Literal["before_gaps", "after_gaps"]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.interpolation == "none" and self.winsorise == "after_gaps":
            raise ValueError("winsorise after_gaps has no effect without interpolation")
        if self.lower_percentile >= self.upper_percentile:
            raise ValueError("lower_percentile must lie below upper_percentile")
        return self


class Model(Block):
    """A network: what it reads, how it is built, and how it is trained."""

    architecture: Architecture
    extra_channels: tuple[Channel, ...]
    static_inputs: tuple[StaticInput, ...]
    conv: Annotated[int, Field(ge=0)]
    n_lstm: Positive
    n_summary: Annotated[int, Field(ge=0)]
    lstm_activation: Activation
    dropout: Annotated[float, Field(ge=0, lt=1)]
    measurement_dropout: Annotated[float, Field(ge=0, lt=1)]
    n_fc: Annotated[int, Field(ge=0)]
    fc_activation: Activation
    optimizer: OptimizerName
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    batch_size: Positive
    sampling: Literal["natural", "balanced"]
    schedule: Literal["constant", "one_cycle"]
    max_gradient: Annotated[float, Field(gt=0)] | None
    keep: Literal["best", "last"]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("extra_channels", "static_inputs"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"{name} names one twice")
        if self.architecture == "gru_d" and self.extra_channels != (
            "observed",
            "hours_since_observed",
        ):
            raise ValueError(
                "architecture gru_d needs extra_channels [observed, hours_since_observed]"
            )
        if self.architecture == "gru_d" and self.conv:
            raise ValueError(
                f"architecture gru_d has no convolution: conv must be 0, not {self.conv}"
            )
        if self.n_summary and "observed" not in self.extra_channels:
            raise ValueError(
                "n_summary needs extra_channels: observed: the summaries are of observed values"
            )
        return self


NotEmpty = Field(min_length=1)
Activations = Annotated[tuple[Activation, ...], NotEmpty]
Optimizers = Annotated[tuple[OptimizerName, ...], NotEmpty]
Power = Annotated[IntRange, within(0, 16)]  # of two
LearningRate = Annotated[Range, within(1e-9, 100)]


class ModelSpace(Block):
    log2_n_lstm: Power
    lstm_activation: Activations
    dropout: Annotated[Range, within(0, 0.99)]
    n_fc: Annotated[tuple[Annotated[int, Field(ge=0)], ...], NotEmpty]
    fc_activation: Activations
    optimizer: Optimizers
    learning_rate: LearningRate
    log2_batch_size: Power


class TuneModel(Block):
    trials: Annotated[int, Field(ge=0)]
    folds: Annotated[int, Field(ge=2, le=127)]
    fold_seed: Seed
    seed: Seed
    rounds: Positive
    epochs_per_round: Positive
    pruner_startup_trials: Annotated[int, Field(ge=0)]
    pruner_warmup_rounds: Annotated[int, Field(ge=0)]
    pruner_percentile: Annotated[float, Field(ge=0, le=100)]
    space: ModelSpace


class BoostingSettings(Block):
    """Arguments of scikit-learn's HistGradientBoostingClassifier."""

    learning_rate: Annotated[float, Field(gt=0)]
    max_iter: Positive
    max_leaf_nodes: Annotated[int, Field(ge=2)]
    min_samples_leaf: Positive
    l2_regularization: Annotated[float, Field(ge=0)]
    max_features: Annotated[float, Field(gt=0, le=1)]


class BoostingSpace(Block):
    """Ranges of BoostingSettings."""

    learning_rate: LearningRate
    max_iter: Annotated[IntRange, within(1, 10**5)]
    max_leaf_nodes: Annotated[IntRange, within(2, 10**4)]
    min_samples_leaf: Annotated[IntRange, within(1, 10**6)]
    l2_regularization: Annotated[Range, within(0, 1e6)]
    max_features: Annotated[Range, within(0.01, 1)]


class LogisticSettings(Block):
    """Arguments of scikit-learn's LogisticRegression."""

    C: Annotated[float, Field(gt=0)]


class LogisticSpace(Block):
    """Range of LogisticSettings."""

    C: Annotated[Range, within(1e-9, 1e9)]


class BaselineSpaces(Block):
    """Where the search of each baseline looks."""

    gradient_boosting: BoostingSpace
    logistic_regression: LogisticSpace


class Baselines(Block):
    """The models that the network is compared with, and the search of their settings."""

    trials: Annotated[int, Field(ge=0)] | None
    gradient_boosting: BoostingSettings
    logistic_regression: LogisticSettings
    space: BaselineSpaces

    def found(self, settings: dict[str, dict[str, Any]]) -> Self:
        """The same with the settings that a search found, by baseline, and no further search."""
        return self.model_validate(self.model_dump() | settings | {"trials": 0})


class Train(Block):
    epochs: Positive
    evaluate_every: Positive
    patience: Positive | None
    seed: Seed


class Evaluate(Block):
    bootstrap: Positive
    seed: Seed


MeanSd = tuple[float, float]


class Published(Block):
    """Mean and standard deviation of the scores as their authors report them, on `data`."""

    data: str
    auroc: MeanSd | None = None
    f1: MeanSd | None = None
    precision: MeanSd | None = None
    recall: MeanSd | None = None


class Row(Block):
    """One network of the comparison. model: what it has otherwise than `compare.model`. differs: what is done otherwise than its authors did."""

    label: str
    model: dict[str, Any]
    scored_on: Literal["held_out", "balanced_training"]
    published: Published
    differs: str


class Compare(Block):
    features: Features
    train: Train
    model: Model
    rows: dict[str, Row]

    def model_of(self, row: str) -> Model:
        """`model` with what the row changes."""
        return Model.model_validate(self.model.model_dump() | self.rows[row].model)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for row in self.rows:
            try:
                self.model_of(row)
            except ValidationError as error:
                raise ValueError(
                    "; ".join(
                        f"rows.{row}.{_told(e, 'model')}" for e in error.errors(include_url=False)
                    )
                ) from None
        return self


class LearningCurve(Block):
    shares: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)]
    seed: Seed


Caps = Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], NotEmpty]
Count = Annotated[IntRange, within(1, 10**6)]


class L1Space(Block):
    cap: Caps
    radius: Annotated[Range, within(1e-4, 1)]
    patience: Count
    restarts: Annotated[
        tuple[Annotated[int, Field(ge=0, le=7)], ...], NotEmpty
    ]  # at most the number of l1.STARTS
    supports: Annotated[
        tuple[Annotated[int, Field(ge=0, le=4)], ...], NotEmpty
    ]  # and of l1.SUPPORTS


class L0Space(Block):
    cap: Caps
    share: Annotated[Range, within(0.01, 1)]
    candidates: Count
    patience: Count
    starts: Annotated[tuple[Positive, ...], NotEmpty]


class PriorSpace(Block):
    kappa: Annotated[Range, within(0, 1e6)]
    penalty: Annotated[Range, within(0, 1e6)]
    learning_rate: LearningRate
    optimizer: Optimizers


class SunSpace(Block):
    """Nothing to search: its penalties are part of it."""


class AttackSpaces(Block):
    """One for each method."""

    l1: L1Space
    l0: L0Space
    prior: PriorSpace
    sun: SunSpace


class TuneAttack(Block):
    trials: Positive
    max_stays: Positive
    iterations: Positive
    max_perts: Positive
    seed: Seed
    pruner_startup_trials: Annotated[int, Field(ge=0)]
    space: AttackSpaces


class Attack(Block):
    method: Method
    target: Literal["fold", "ensemble", "file"]
    models: Path
    iterations: Positive
    max_stays: Positive | None
    attack_misclassified: bool
    seed: Seed

    @model_validator(mode="after")
    def _own_models(self) -> Self:
        if (self.target == "file") == (self.models == MODELS):
            raise ValueError(
                f"target file needs models to name one model's folder, any other target models {MODELS}: found {self.models}"
            )
        return self


class Analyze(Block):
    bootstrap: Positive
    min_l0: Positive
    max_l0: Positive | None
    patients: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.max_l0 is not None and self.min_l0 > self.max_l0:
            raise ValueError(f"min_l0 {self.min_l0} lies above max_l0 {self.max_l0}")
        return self


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
    compare: Compare
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
            "; ".join(f"{path}: {_told(e)}" for e in error.errors(include_url=False))
        ) from None


def _told(error: Any, *block: str) -> str:
    """Which key, what is wrong, and what was found; a whole block is not repeated."""
    found = "" if isinstance(error["input"], dict) else f", found {error['input']!r}"
    return f"{'.'.join(map(str, (*block, *error['loc']))) or 'the file'}: {error['msg']}{found}"

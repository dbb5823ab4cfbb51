"""`baselines` of params.yaml."""

from typing import Annotated, Any, Self

from pydantic import Field

from icu_adversarial.config.base import Block, IntRange, LearningRate, Positive, Range, within


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


class BaselineSettings(Block):
    """The settings of each baseline that are tried first, or used without a search."""

    gradient_boosting: BoostingSettings
    logistic_regression: LogisticSettings


class BaselineSpaces(Block):
    """The values that the search of each baseline can choose."""

    gradient_boosting: BoostingSpace
    logistic_regression: LogisticSpace


class Baselines(Block):
    """The models that the network is compared with, and the search of their settings."""

    trials: Annotated[int, Field(ge=0)] | None
    first: BaselineSettings
    space: BaselineSpaces

    def found(self, settings: dict[str, dict[str, Any]]) -> Self:
        """The same with the settings that a search found, by baseline, and no further search."""
        first = self.first.model_dump() | settings
        return self.model_validate(self.model_dump() | {"first": first, "trials": 0})

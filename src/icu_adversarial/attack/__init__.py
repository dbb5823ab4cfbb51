"""Attacks on classifiers of time series: the smallest change that flips a prediction.

A PyTorch network from anywhere can be attacked. It needs PyTorch alone, not the pipeline.
"""

from icu_adversarial.attack.api import Example, Result
from icu_adversarial.attack.entry import find_examples

__all__ = ["Example", "Result", "find_examples"]

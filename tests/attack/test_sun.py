import numpy as np
import pytest
from attack_models import Counted, box, linear_case, margins

from icu_adversarial.attack.algorithms.sun import SETTINGS, sun
from icu_adversarial.attack.api import FLIP_MARGIN

PENALTIES = SETTINGS.penalties()


def test_the_penalties_are_those_of_the_paper() -> None:
    assert len(PENALTIES) == 25
    assert (PENALTIES[0], PENALTIES[-1]) == pytest.approx((5e-4, 1.5e-2))
    assert np.diff(np.log(PENALTIES)) == pytest.approx(np.log(30) / 24, rel=1e-4)


def test_a_slow_reference_for_one_sample_agrees() -> None:
    """Iterative soft thresholding for one sample in numpy, each penalty until its first flip."""
    x, y, weight, model = linear_case(6, 4, 3)
    result = sun(model, x, y, **box(x), iterations=100)
    for i in range(len(x)):
        slope = weight.numpy().reshape(4, 3).astype(float) * (1 if y[i] == 1 else -1)
        margin0 = float(margins(model, x, y)[i])
        runs = []
        for penalty in PENALTIES:
            p = np.zeros((4, 3))
            for iteration in range(1, 101):
                p = p - 0.02 * slope
                p = np.sign(p) * np.maximum(np.abs(p) - penalty, 0)
                p = np.clip(x[i].numpy() + p, 0, 1) - x[i].numpy()
                if margin0 + (slope * p).sum() < FLIP_MARGIN:
                    runs.append((iteration, np.abs(p).sum(), p))
                    break
        assert int(result.first.iteration[i]) == min(run[0] for run in runs)
        assert float(result.best.perturbation[i].abs().sum()) == pytest.approx(
            min(run[1] for run in runs), abs=1e-4
        )
        first = min(runs, key=lambda run: run[0])[2]
        assert result.first.perturbation[i].numpy() == pytest.approx(first, abs=1e-5)


def test_a_run_ends_at_its_first_flip_and_iterations_are_a_limit() -> None:
    x, y, _, model = linear_case(40, 4, 3)
    counted = Counted(model)
    steps = int(sun(counted, x, y, **box(x), iterations=100).best.iteration.max())
    assert 1 < steps < 100
    assert counted.gradients < 0.7 * 25 * 100 * 40
    short = sun(model, x, y, **box(x), iterations=3)
    assert int(short.best.iteration.max()) <= 3
    assert (short.best.iteration == -1).any()

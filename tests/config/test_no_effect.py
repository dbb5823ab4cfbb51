"""A setting that has no effect is refused in one line, which says what to do instead."""

import re
import shlex
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from icu_adversarial.config.params import Params, load_params
from icu_adversarial.core.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    return path


def overridden(file: Path, *options: str) -> Params:
    apply_overrides(file, list(options))
    return load_params(file)


OF_LOGISTIC = "baselines.first.logistic_regression.C"
SEARCHED = {
    "n_lstm": 256,
    "readout_activation": "relu",
    "dropout": 0.1,
    "n_fc": 48,
    "fc_activation": "tanh",
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "batch_size": 512,
}


def test_every_setting_that_a_search_overrules_is_known(params: Params) -> None:
    searched = {name.removeprefix("log2_") for name in type(params.tune_model.space).model_fields}
    assert searched == set(SEARCHED) == set(type(params.tune_model.first).model_fields)


def refused(file: Path, *options: str) -> str:
    """The one line that says why params.yaml cannot be used with these options."""
    with pytest.raises(InputError) as error:
        overridden(file, *options)
    assert "\n" not in str(error.value)
    return str(error.value)


def suggested(message: str) -> list[list[str]]:
    """The overrides of each command that a refusal suggests."""
    commands = re.findall("`dvc exp run (-S .*?)`", message)
    return [[word for word in shlex.split(command) if word != "-S"] for command in commands]


@pytest.mark.parametrize("name", SEARCHED)
def test_a_value_that_the_search_overrules_is_refused_with_commands_that_work(
    file: Path, name: str
) -> None:
    """DVC leaves the refused value in the file, where the next command finds it."""
    value = SEARCHED[name]
    message = refused(file, f"model.{name}={value}")
    assert f"model.{name} {value} would be overruled" in message
    assert f"git checkout {file}" in message
    left = file.read_text()
    without, kept = suggested(message)
    exactly = overridden(file, *without)
    assert exactly.tune_model.trials == 0
    assert getattr(exactly.model, name) == value
    file.write_text(left)
    searched = overridden(file, *kept)
    assert searched.tune_model.trials == 3
    assert getattr(searched.tune_model.first, name) == value
    space = searched.tune_model.space.model_dump()
    entry = space.get(name) or space[f"log2_{name}"]
    if isinstance(entry, dict):
        exponent = value.bit_length() - 1 if f"log2_{name}" in space else value
        assert (entry["low"], entry["high"]) == (exponent, exponent)
    else:
        assert entry == (value,)


@pytest.mark.parametrize(
    ("options", "commands"),
    [
        (["model.fc_activation=tanh"], 2),  # the first trial has no such layer
        (["model.fc_activation=relu"], 2),
        (["model.fc_activation=tanh", "model.n_fc=0"], 1),
        (["model.n_fc=0"], 2),
        (["model.optimizer=sgd", "model.dropout=0"], 2),
        (["model.optimizer=sgd", "model.weight_decay=0"], 2),
        (["model.n_lstm=100"], 1),  # no power of 2
        (["model.n_lstm=131072"], 1),  # 2 to the 17, above the largest exponent
        (["model.batch_size=131072"], 1),
        (["model.batch_size=1"], 2),
        (["model.dropout=0.995"], 1),
        (["model.learning_rate=1e-12"], 1),
        (["model.learning_rate=1000"], 1),
        (["model.learning_rate=1e-05"], 2),
        (["model.n_lstm=256", "baselines.trials=1", f"{OF_LOGISTIC}=9"], 0),  # another fault
    ],
)
def test_every_suggested_command_is_accepted(file: Path, options: list[str], commands: int) -> None:
    """DVC leaves the refused values in the file."""
    message = refused(file, *options)
    found = suggested(message)
    assert len(found) == commands
    assert commands or "set it to tuned" in message
    left = file.read_text()
    for command in found:
        file.write_text(left)
        assert overridden(file, *command)


@pytest.mark.parametrize("value", ["abc", "null", "0", "-1", "1.5", "''"])
def test_a_value_that_no_network_can_have_gets_no_command(file: Path, value: str) -> None:
    message = refused(file, f"model.n_lstm={value}")
    assert "model.n_lstm: Input should be" in message
    assert suggested(message) == []


def test_a_value_inside_the_space_and_that_of_the_first_trial_are_refused_too(file: Path) -> None:
    for value in (32, 64):
        with pytest.raises(InputError, match=f"model.n_lstm {value} would be overruled"):
            overridden(file, f"model.n_lstm={value}")


def test_a_value_that_no_exponent_gives_has_one_way_out(file: Path) -> None:
    with pytest.raises(InputError, match="n_lstm 100") as error:
        overridden(file, "model.n_lstm=100", "model.dropout=0.1")
    assert "dvc exp run -S tune_model.trials=0 -S model.n_lstm=100 -S model.dropout=0.1`" in str(
        error.value
    )
    assert "tune_model.first" not in str(error.value)


def test_without_a_search_tuned_is_the_first_trial(file: Path, params: Params) -> None:
    found = overridden(file, "tune_model.trials=0", "tune_model.first.n_lstm=100")
    assert found.model == params.model.changed({"n_lstm": 100})


def test_the_default_network_is_the_first_trial(params: Params) -> None:
    first = params.tune_model.first.model_dump()
    assert first.items() <= params.model.model_dump().items()
    assert (params.model.n_lstm, params.model.learning_rate, params.model.n_fc) == (64, 1e-3, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["tune_model.first.n_lstm=256"],
            "tune_model.first.n_lstm: 256 is outside tune_model.space.log2_n_lstm (32 to 128",
        ),
        (["tune_model.first.n_lstm=48"], "tune_model.first.n_lstm: 48 is outside"),
        (["tune_model.first.n_fc=5"], "(one of 0, 16, 32, 64, 128, 256)"),
        (
            ["baselines.first.gradient_boosting.max_iter=900"],
            "baselines.first.gradient_boosting.max_iter: 900 is outside "
            "baselines.space.gradient_boosting.max_iter (50 to 300)",
        ),
        (
            [
                "tune_model.trials=0",
                "baselines.trials=1",
                "baselines.first.logistic_regression.C=9",
            ],
            "baselines.first.logistic_regression.C: 9.0 is outside",
        ),
        (["train.patience=3"], "train.patience 3 has no effect with keep last"),
        (
            ["literature.model.keep=last"],
            "literature: train: patience 2 has no effect with keep last",
        ),
        (
            ["tune_model.trials=0", "model.fc_activation=tanh"],
            "model.fc_activation tanh has no effect with n_fc 0: set it to relu",
        ),
        (
            ["tune_model.trials=0", "model.optimizer=sgd"],
            "model.weight_decay 0.01 has no effect with optimizer sgd: set it to 0",
        ),
        (
            ["tune_model.space.optimizer=[rmsprop]", "tune_model.first.optimizer=rmsprop"],
            "model.weight_decay 0.01 has no effect without adam in tune_model.space.optimizer",
        ),
        (
            ["+literature.rows.tang.model.fc_activation=tanh"],
            "literature: rows.tang.model: fc_activation tanh has no effect with n_fc 0",
        ),
        (
            ["literature.model.optimizer=sgd", "literature.model.weight_decay=0.1"],
            "literature: model: weight_decay 0.1 has no effect with optimizer sgd",
        ),
        (
            ["features.interpolation=none", "features.limit_direction=forward"],
            "features: limit_direction forward has no effect with interpolation none",
        ),
        (
            ["literature.features.interpolation=none", "literature.features.winsorise=after_gaps"],
            "literature.features: winsorise after_gaps has no effect with interpolation none",
        ),
        (
            ["split.test_groups=[set-b]", "split.test_fraction=0.3"],
            "split: test_fraction 0.3 has no effect with test_groups: set it to 0.2",
        ),
        (
            ["tune_attack.max_perts=5"],
            "tune_attack.max_perts 5 has no effect without max_num_nonzero_perts among objectives",
        ),
        (["model.architecture=gru_d", "model.conv=8"], "model: conv 8 has no effect"),
        (["objectives=[robust_l1,robust_l1]"], "objectives: names one value twice"),
        (["learning_curve.shares=[0.5,0.5]"], "learning_curve.shares: names one value twice"),
        (
            ["tune_attack.space.l0.starts=[2,2]"],
            "tune_attack.space.l0.starts: names one value twice",
        ),
    ],
)
def test_an_option_without_effect_is_refused(file: Path, options: list[str], message: str) -> None:
    found = refused(file, *options)
    assert message in found
    assert found.endswith(f"git checkout {file})")
    # what the line advises is accepted
    for place, name, value in re.findall(
        r"yaml: (.*?)(\w+) \S+ has no effect .*?: set it to ([\w./]+)", found
    ):
        assert overridden(file, f"{place.replace(': ', '.')}{name}={value}")


@pytest.mark.parametrize(
    "options",
    [
        ["model.keep=best", "train.patience=3"],
        ["tune_model.trials=0", "model.fc_activation=tanh", "model.n_fc=16"],
        ["tune_model.trials=0", "model.optimizer=sgd", "model.weight_decay=0"],
        ["tune_model.first.fc_activation=tanh", "tune_model.first.optimizer=sgd"],
        ["literature.model.fc_activation=tanh"],
        ["features.interpolation=none"],
        ["split.test_groups=[set-b]"],
        ["objectives=[max_num_nonzero_perts]", "tune_attack.max_perts=5"],
        ["baselines.trials=0", "baselines.first.logistic_regression.C=9"],
        ["extract.source=mimiciii", "extract.raw=/elsewhere", "tune_model.trials=0"],
    ],
)
def test_the_same_options_are_accepted_if_they_have_an_effect(
    file: Path, options: list[str]
) -> None:
    assert overridden(file, *options)


def test_a_search_may_draw_what_params_yaml_may_not_say(params: Params) -> None:
    drawn = params.model.changed({"n_fc": 0, "fc_activation": "tanh", "optimizer": "sgd"})
    assert set(drawn.unused()) == {"fc_activation", "weight_decay"}

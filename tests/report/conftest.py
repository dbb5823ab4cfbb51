"""Both pages of a small run."""

from contextlib import chdir
from pathlib import Path

import pytest
from report_world import small, write

from icu_adversarial.config.params import Params


@pytest.fixture(scope="session")
def made(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run."""
    folder = tmp_path_factory.mktemp("report")
    with chdir(folder):
        write(small(params))
    return folder

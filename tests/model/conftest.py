from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """As in the processes that train; two threads on a busy machine wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where a stage may read and write; it trains in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with joblib.parallel_config("sequential"):
        yield

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """As in the attack's processes; two threads on a busy machine wait for each other."""
    torch.set_num_threads(1)

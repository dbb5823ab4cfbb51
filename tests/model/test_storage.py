import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FULL = f"""
import resource, sys
sys.path.insert(0, {str(ROOT / "src")!r})
from pathlib import Path
import torch
from icu_adversarial.model.networks.storage import save_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save_tensors(Path("weights.safetensors"), {{"a": torch.zeros(10_000)}})
except OSError as error:
    print("told:", error)
"""


def test_a_full_disk_is_an_error_of_the_system_and_leaves_no_half_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("told: weights.safetensors: ")
    assert not list(tmp_path.iterdir())

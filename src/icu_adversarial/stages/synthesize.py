"""synthesize: write the synthetic hospital as raw MIMIC-III tables.

Reads only params.yaml. Writes data/raw/synthetic, completely or not at all.
"""

import shutil

from icu_adversarial.config.params import Params
from icu_adversarial.core.io import temporary_of
from icu_adversarial.core.paths import SYNTHETIC
from icu_adversarial.synthetic.hospital import generate


def run(params: Params) -> None:
    """Generate the hospital in a temporary folder, which then replaces data/raw/synthetic."""
    temporary = temporary_of(SYNTHETIC)
    try:
        generate(temporary, params.synthesize.stays, params.synthesize.seed)
        if SYNTHETIC.exists():
            shutil.rmtree(SYNTHETIC)
        temporary.rename(SYNTHETIC)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

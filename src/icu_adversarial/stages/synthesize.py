"""params.yaml → data/raw/synthetic: the synthetic hospital, whole or not at all."""

import os
import shutil

from icu_adversarial.config.params import Params
from icu_adversarial.core.paths import SYNTHETIC
from icu_adversarial.synthetic.hospital import generate


def run(params: Params) -> None:
    temporary = SYNTHETIC.with_name(f".{SYNTHETIC.name}.{os.getpid()}.tmp")
    try:
        generate(temporary, params.synthesize.stays, params.synthesize.seed)
        if SYNTHETIC.exists():
            shutil.rmtree(SYNTHETIC)
        temporary.rename(SYNTHETIC)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

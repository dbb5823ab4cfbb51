"""Every stage of dvc.yaml calls `python src/run.py STAGE`, with the code of this checkout."""

from icu_adversarial.core.cpu import fix_code_paths

fix_code_paths()

from icu_adversarial.cli import main  # noqa: E402

main()

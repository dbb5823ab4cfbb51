"""Which files of src a stage's code is made of: everything that its module imports, directly or not, at the top or inside a function."""

import ast
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
PACKAGE = "icu_adversarial"


def file_of(module: str) -> Path | None:
    path = SRC / module.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def imports(file: Path) -> set[str]:
    """Modules of the package that `file` names in an import, `from package import module` included."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith(PACKAGE) and file_of(name)}


def closure(stage: str) -> set[str]:
    """Paths from the repository's root. `__init__.py` files hold nothing but a docstring and are left out, cli.py only dispatches; run.py and cpu.py
    are in."""
    waiting, seen = [f"{PACKAGE}.stages.{stage}"], set()
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            file = file_of(module)
            assert file is not None
            waiting += imports(file)
    files = {file_of(module) for module in seen}
    return {"src/run.py", "src/icu_adversarial/cpu.py"} | {
        str(f.relative_to(SRC.parent)) for f in files if f is not None and f.name != "__init__.py"
    }

"""Which rooms of the package a stage depends on, from what its module imports."""

import ast
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
PACKAGE = "icu_adversarial"
# A stage depends on a whole room. The networks are a room of their own inside `model`: an attack
# needs them, but not the training.
ROOMS = (
    "core",
    "measurements",
    "synthetic",
    "extract",
    "features",
    "records",
    "search",
    "model/networks",
    "model",
    "evaluate",
    "attack",
    "probe",
    "stress",
    "analyze",
    "report",
)
# From the foundations up: a module imports from its own room and from those before it.
ORDER = ("measurements", "core", "config", *ROOMS[2:], "studies", "tools", "stages", "cli.py")
# config/ only checks params.yaml. DVC hashes the values themselves (`params:` in dvc.yaml).
# cli.py only calls the stage.
NO_DEPENDENCY = ("config", "cli.py", "__init__.py")


def file_of(module: str) -> Path | None:
    """The file of a module of the package."""
    path = SRC / module.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def imports(file: Path) -> set[str]:
    """Modules of the package that a file imports, at the top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith(PACKAGE) and file_of(name)}


def module_of(stage: str) -> str:
    """The module of a stage of dvc.yaml or of a study."""
    room = "stages" if (SRC / PACKAGE / "stages" / f"{stage}.py").exists() else "studies"
    return f"{PACKAGE}.{room}.{stage}"


def closure(stage: str) -> set[str]:
    """Every file that a stage runs, from the package's folder: its module and what that imports.

    extract/registry.py imports the readers by name, so all of them count.
    """
    waiting, seen = [module_of(stage)], set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        file = file_of(module)
        assert file is not None
        waiting += imports(file)
        if module == f"{PACKAGE}.extract.registry":
            sources = (SRC / PACKAGE / "extract" / "sources").glob("*.py")
            waiting += [f"{PACKAGE}.extract.sources.{source.stem}" for source in sources]
    files = {file_of(module) for module in seen}
    return {str(file.relative_to(SRC / PACKAGE)) for file in files if file and file.stat().st_size}


def room_of(file: str) -> str | None:
    """The room that holds a file, the file itself outside rooms, or None for NO_DEPENDENCY."""
    if file.split("/")[0] in NO_DEPENDENCY or file in NO_DEPENDENCY:
        return None
    return next((room for room in ROOMS if file.startswith(f"{room}/")), file)


def level_of(file: str) -> int:
    """The position of a file of the package in ORDER. `model/networks` comes before `model`."""
    return next(i for i, room in enumerate(ORDER) if file == room or file.startswith(f"{room}/"))


def dependencies(stage: str) -> set[str]:
    """What dvc.yaml lists below src/ for a stage, from the repository's root."""
    rooms = {room for file in closure(stage) if (room := room_of(file))} | {"core"}
    if "model" in rooms:
        rooms -= {"model/networks"}
    return {"src/run.py"} | {f"src/{PACKAGE}/{room}" for room in rooms}

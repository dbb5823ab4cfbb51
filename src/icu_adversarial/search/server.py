"""Studies on a PostgreSQL server, which processes on many machines work on together.

`study` uses it where the environment variable ICU_STUDY_STORAGE names a server. The password comes
from PGPASSWORD or ~/.pgpass. No message shows it.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import URL, NullPool, create_engine, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)

from icu_adversarial.core.errors import InputError

VARIABLE = "ICU_STUDY_STORAGE"
EXAMPLE = "postgresql+psycopg://USER@HOST/DATABASE"
HEARTBEAT, GRACE = 15, 120  # seconds between two signs of life; without one, a trial is tried again
RETRIES = 5  # of one trial; a setting that needs too much memory kills each worker that tries it
PATIENCE = 600  # seconds that a worker waits for a server that has stopped
LOCK = 6_230_122  # the advisory lock of the database, for the one who makes the tables
# A worker that is killed right after it began a trial leaves a trial without a sign of life. The
# first worker that sees it stores a sign of life. The trial is given up when this sign is too old.
FIRST_SIGN = """
INSERT INTO trial_heartbeats (trial_id, heartbeat)
SELECT trial_id, CURRENT_TIMESTAMP FROM trials WHERE study_id = :study AND state = 'RUNNING'
ON CONFLICT (trial_id) DO NOTHING
"""
# The methods through which a study asks the server.
ASKING = (
    "_create_new_trial",
    "_get_best_trial_id",
    "_get_stale_trial_ids",
    "_get_trials",
    "_set_trial_param",
    "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "get_trial",
    "set_trial_intermediate_value",
    "set_trial_state_values",
    "set_trial_system_attr",
    "set_trial_user_attr",
)


def server_url() -> URL | None:
    """Read the address of the server from ICU_STUDY_STORAGE.

    Returns:
        The address. None if the variable is not set: the study is then a journal.

    Raises:
        InputError: The variable holds no address of PostgreSQL, or a password. The message quotes
            no part of it.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return None
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise InputError(f"{VARIABLE} is not an address such as {EXAMPLE}") from None
    secret = url.password or ":" in (url.username or "")
    if secret or any("password" in key.lower() for key in url.query):
        raise InputError(
            f"{VARIABLE} holds a password: take it out, and give it in PGPASSWORD or ~/.pgpass"
        )
    if url.get_backend_name() != "postgresql":
        raise InputError(f"{VARIABLE} is not an address of PostgreSQL such as {EXAMPLE}")
    return url.set(drivername="postgresql+psycopg")


class Server(RDBStorage):
    """Optuna's tables on a server. A method waits for a server that has stopped."""

    def __init__(self, url: URL) -> None:
        self.gone = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            super().__init__(
                url.render_as_string(hide_password=False),
                engine_kwargs={"poolclass": NullPool},  # a server has room for few idle ones
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=try_again,
            )

    def record_heartbeat(self, trial_id: int) -> None:
        """Give a trial a sign of life. The thread that does it ends quietly with the server."""
        with suppress(InputError):
            _patient(RDBStorage.record_heartbeat)(self, trial_id)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        with self.engine.begin() as connection:
            connection.execute(text(FIRST_SIGN), {"study": study_id})
        return super()._get_stale_trial_ids(study_id)


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method` of Server, which is called again for PATIENCE seconds while the server is away."""

    @wraps(method)
    def call(self: Server, *arguments: Any, **options: Any) -> Any:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return method(self, *arguments, **options)
            except (StorageInternalError, SQLAlchemyError) as error:
                cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
                away = isinstance(cause, (OperationalError, PendingRollbackError))
                if self.gone or not away or time.monotonic() > end:
                    self.gone = True
                    raise InputError(_in_words(cause or error)) from None
            self.remove_session()
            time.sleep(1)

    return call


for _name in ASKING:
    setattr(Server, _name, _patient(getattr(Server, _name)))


def _in_words(error: BaseException) -> str:
    """What a server said, without the statement and its values, and what to do."""
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    advice = "give this study a database of its own"
    if isinstance(error, OperationalError):
        advice = "check the address, the server, and the password in PGPASSWORD or ~/.pgpass"
    elif "permission denied" in said:
        advice = "let the owner of the database run GRANT CREATE, USAGE ON SCHEMA public TO USER"
    return f"{VARIABLE}: {said}: {advice}"


@contextmanager
def _alone(url: URL) -> Iterator[None]:
    """Hold the advisory lock of the database. A process that is killed loses it."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        yield


def open_server(url: URL, name: str, first: dict[str, Any] | None, **options: Any) -> optuna.Study:
    """Open a study on a server, or create it with its tables.

    Args:
        url: The address, from `server_url`.
        name: The name of the study.
        first: The parameters of the first trial of a new study.
        options: direction and pruner, as for `optuna.create_study`.

    Returns:
        The study.

    Raises:
        InputError: The server cannot be reached or used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with _alone(url):
            storage = Server(url)
            study = optuna.create_study(
                storage=storage, study_name=name, load_if_exists=True, **options
            )
            if first and not study.get_trials(deepcopy=False):
                study.enqueue_trial(first)
        return study
    except (DBAPIError, StorageInternalError) as error:
        cause = error if isinstance(error, DBAPIError) else error.__cause__ or error
        raise InputError(_in_words(cause)) from None
    except RuntimeError as error:
        if "compatible" not in str(error):
            raise
        raise InputError(
            f"{VARIABLE}: the tables there are of another version of Optuna: run `optuna storage "
            "upgrade --storage` with this address, or name an empty database"
        ) from None


def try_again(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Put the setting of a failed trial at the head of the queue, RETRIES times at most."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)(study, trial)


def fail_silent(study: optuna.Study) -> None:
    """Mark trials without a sign of life for GRACE seconds as failed, and try them again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)

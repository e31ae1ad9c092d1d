"""Opening a ledger's database, and bringing its tables to the shape this version knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from kontinual.errors import LedgerError
from kontinual.masking import masked
from kontinual.trigger.contracts import LedgerDown

__all__ = [
    "BUSY_TIMEOUT_MS",
    "for_reading",
    "migrate",
    "newest_revision",
    "open_database",
    "revision",
]

BUSY_TIMEOUT_MS = 5_000  # a writer waits so long for another, then it is refused
HANGING_TIMEOUT_MS = 30_000  # a server ends the transaction of a client that is silent so long
# libpq's, where a URL does not say: without them it waits for minutes for a host that is silent.
PATIENCE = {"connect_timeout": 10, "tcp_user_timeout": 20_000}  # seconds; milliseconds
VERSION_TABLE = "ledger_version"  # MLflow, which may share the database, has its own


def open_database(url: str, *, must_exist: bool = False) -> Engine:
    """An engine on a ledger's database, whose tables have the present shape.

    A SQLite file is made and migrated here: it is this machine's alone. A server's
    database may be in use by others, so it is migrated by `kontinual ledger migrate`.

    Args:
        url: SQLAlchemy's, such as `sqlite:////var/lib/kontinual/ledger.db` or
            `postgresql+psycopg://user@host/ledger`.
        must_exist: refuse to make a new SQLite file; for those who only look.

    Raises:
        LedgerDown: its server does not answer.
        LedgerError: there is none, it can not be used, or its tables are of another version.
    """
    _prepare_file(url, must_exist=must_exist)
    with _explained(url):
        # An error is logged and answered with; what was to be written is nobody's business.
        engine = create_engine(
            url,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=_patience(make_url(url)),
        )
        try:
            if engine.dialect.name == "sqlite":
                event.listen(engine, "connect", _set_up_sqlite)
                event.listen(engine, "begin", _begin_sqlite)
                _upgrade(engine)
            else:
                event.listen(engine, "connect", _set_up_server)
                _insist(engine, url)
        except BaseException:
            engine.dispose()
            raise
    return engine


def for_reading(connection: Connection) -> Connection:
    """The connection for a transaction that only reads, and all of it as of one moment."""
    if connection.dialect.name == "sqlite":
        return connection.execution_options(reading=True)
    return connection.execution_options(isolation_level="REPEATABLE READ")


def migrate(url: str) -> tuple[str | None, str]:
    """Bring a database to the present shape; its revision before and after.

    Raises:
        LedgerError: it can not be used, or was made by a newer version.
    """
    _prepare_file(url, must_exist=False)
    with _explained(url):
        engine = create_engine(url)
        try:
            before = revision(engine)
            _upgrade(engine)
            return before, newest_revision()
        finally:
            engine.dispose()


def revision(engine: Engine) -> str | None:
    """The revision of a database's tables; None when there are none."""
    with engine.connect() as connection:
        return _revision(connection)


def newest_revision() -> str:
    """The revision that this version of Kontinual works with."""
    return str(_scripts().get_current_head())


def _revision(connection: Connection) -> str | None:
    options = {"version_table": VERSION_TABLE}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _upgrade(engine: Engine) -> None:
    with engine.begin() as connection:
        found = _revision(connection)
        if found == newest_revision():
            return
        _refuse_newer(found)
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")


def _insist(engine: Engine, url: str) -> None:
    found = revision(engine)
    if found != newest_revision():
        _refuse_newer(found)
        state = "has no tables yet" if found is None else f"has tables of revision {found}"
        raise LedgerError(
            f"ledger {masked(url)}: it {state}, this version works with {newest_revision()}: "
            "run `kontinual ledger migrate` once, with KONTINUAL_LEDGER set to it"
        )


def _refuse_newer(found: str | None) -> None:
    if found is not None and found not in {s.revision for s in _scripts().walk_revisions()}:
        raise LedgerError(
            f"the ledger's tables have revision {found}, which a newer version of Kontinual "
            f"made; this one knows up to {newest_revision()}: use the newer version"
        )


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["version_table"] = VERSION_TABLE
    return configuration


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_configuration())


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except OperationalError as exc:
        kind = LedgerError if make_url(url).get_backend_name() == "sqlite" else LedgerDown
        raise kind(f"ledger {masked(url)}: it can not be opened: {exc}") from exc
    except (SQLAlchemyError, ArgumentError, ImportError) as exc:
        raise LedgerError(f"ledger {masked(url)}: it can not be opened: {exc}") from exc


def _patience(url: URL) -> dict[str, int]:
    """How long a server may be silent; a file is never."""
    if url.get_backend_name() != "postgresql":
        return {}
    return {name: value for name, value in PATIENCE.items() if name not in url.query}


def _prepare_file(url: str, *, must_exist: bool) -> None:
    """Make the folder of a SQLite file, or insist on the file."""
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise LedgerError(
            f"ledger {masked(url)!r}: not a SQLAlchemy URL such as sqlite:///FILE"
        ) from exc
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        return
    path = Path(str(parsed.database))
    if must_exist and not path.is_file():
        raise LedgerError(f"{path}: there is no ledger; has the trigger service run here?")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise LedgerError(f"{path.parent}: no folder for the ledger can be made: {exc}") from exc


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _set_up_server(connection: Any, _record: Any) -> None:
    """A replica that hangs in a transaction must not hold up the others for ever.

    A plan that was made while a table was empty reads all of it when a storm has filled it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_custom_plan")
        cursor.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")
        cursor.execute(f"SET idle_in_transaction_session_timeout = {HANGING_TIMEOUT_MS}")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the lock at once, so that what it read stays true until it commits."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

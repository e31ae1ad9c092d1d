"""A PostgreSQL server of our own for the tests: a folder and a socket in it; a port if wanted."""

import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Self

import psycopg

ROOT = Path(__file__).parents[3]
NOBODY = 65534


class PostgresServer:
    """A running server; a context manager that ends it and removes its folder.

    Args:
        fsync: write as in production; what a crash of the machine would lose is not what tests are
            about, so they do without.
        address: of this machine to listen on too, at the usual port, for whoever asks there.
    """

    def __init__(self, *, fsync: bool = False, address: str = "") -> None:
        self._bin = _binaries()
        self._address = address
        self._fsync = "on" if fsync else "off"
        # Not pytest's folder, which is closed to the user that the server runs as.
        self.folder = Path(tempfile.mkdtemp(prefix="kontinual-pg-", dir="/tmp"))

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        initdb = ["-D", str(self._data), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8"]
        self._run("initdb", *initdb, "--locale=C")
        if self._address:
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all all trust\n")
        options = (
            f"-c listen_addresses={self._address} -c unix_socket_directories={self.folder} "
            f"-c fsync={self._fsync}"
        )
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-l", log, "-o", options, "-w", "start")
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder)

    def new_database(self) -> str:
        """The SQLAlchemy URL of a new and empty database, at its address or by its socket."""
        name = f"ledger_{uuid.uuid4().hex}"
        address = f"host={self.folder} user=postgres dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        if self._address:
            return f"postgresql+psycopg://postgres@{self._address}:5432/{name}"
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL, which refuses to work for root."""
        command = [str(self._bin / program), *arguments]
        if os.geteuid() == 0:
            command = [
                "setpriv",
                f"--reuid={NOBODY}",
                f"--regid={NOBODY}",
                "--clear-groups",
                *command,
            ]
        libraries = ":".join(map(str, self._bin.parents[3].glob("lib/*-linux-gnu")))
        environment = os.environ | {"LD_LIBRARY_PATH": libraries, "LC_ALL": "C"}
        done = subprocess.run(
            command,
            cwd="/",
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"


def _binaries() -> Path:
    """Where the programs are: in the system, or where `make setup` unpacked them."""
    for usr in (Path("/usr"), ROOT / ".tools" / "usr"):
        for found in sorted(usr.glob("lib/postgresql/*/bin"), reverse=True):
            if (found / "initdb").is_file():
                return found
    raise AssertionError("there is no PostgreSQL; `make setup` fetches one")

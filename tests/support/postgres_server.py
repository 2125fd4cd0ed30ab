"""A private PostgreSQL server in a temporary folder, reached through a Unix socket, for tests and benchmarks.

Everything durable is left on, so that it behaves as a real one does when it is killed and started again; only the sizes
are small. PostgreSQL refuses to run as root: started by root, it runs as another user of this system.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

_START_SECONDS = 60.0
_USER = "rnnlab"  # a user of the database, not of the system
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
}
_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)


def programs() -> Path | None:
    """The folder of `initdb` and `postgres` of the newest installed version; None if there is none."""
    on_path = shutil.which("initdb")
    found = [folder for pattern in _FOLDERS for folder in Path("/").glob(pattern[1:])]
    found.sort(key=lambda folder: [int(number) for number in re.findall(r"\d+", str(folder))], reverse=True)
    # Distributions put links to some of the programs on the path; the others are next to the targets of the links.
    candidates = [Path(on_path).resolve().parent, *found] if on_path else found
    return next((f for f in candidates if (f / "initdb").exists() and (f / "postgres").exists()), None)


def why_unavailable() -> str | None:
    """Why no server can be started on this machine; None if it can."""
    if programs() is None:
        return "the programs initdb and postgres are not installed (Debian: apt-get install postgresql)"
    return None


class PostgresServer:
    """A server process and its folder. A context manager: at its end the server is stopped and the folder removed."""

    def __init__(self) -> None:
        found = programs()
        assert found is not None, why_unavailable()
        self._programs = found
        self._user = _unprivileged_user()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        # Not in pytest's folder, which other users cannot enter, and whose path is too long for a socket.
        self.folder = Path(tempfile.mkdtemp(prefix="rnnlab-pg-"))
        self._data = self.folder / "data"
        self._log = self.folder / "log.txt"
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-D", str(self._data), "-U", _USER, "-E", "UTF8", "--no-locale", "--auth=trust")

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql+psycopg://{_USER}@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        assert self._process is None
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-k", str(self.folder), *settings]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._as())
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log_text = self._log.read_text()
                    self.stop(crash=True)
                    raise RuntimeError(f"PostgreSQL did not start: {error}\n{log_text}") from error
                time.sleep(0.02)

    def stop(self, *, crash: bool = False) -> None:
        """Close all connections and stop. crash: stop at once, so that the next start must recover from the log."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
        self._process.wait(timeout=60)
        self._process = None

    def restart(self, *, crash: bool = False) -> None:
        """Restart the server while workers are connected."""
        self.stop(crash=crash)
        self.start()

    def create_database(self) -> str:
        """Create an empty database. Returns its name."""
        name = f"test_{next(self._numbers)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def drop_database(self, name: str) -> None:
        """Close the connections to a database and drop it."""
        with self.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())

    def empty_database(self, name: str) -> None:
        """Close the other connections to a database and empty it, which is much faster than creating a new one."""
        with self.connect(name) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
            connection.execute("GRANT USAGE ON SCHEMA public TO public")

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """A connection that commits each statement and does not use the store."""
        return psycopg.connect(host=str(self.folder), user=_USER, dbname=database, autocommit=True)

    def _as(self) -> dict[str, Any]:
        """How to start the programs: as another user if necessary, and protected from Ctrl-C on the terminal."""
        options: dict[str, Any] = {"cwd": self.folder, "start_new_session": True}
        if self._user is not None:
            options |= {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        return options

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([self._programs / program, *arguments], capture_output=True, text=True, **self._as())
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr or done.stdout}")

    def __enter__(self) -> "PostgresServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(crash=True)  # it will not be started again
        shutil.rmtree(self.folder, ignore_errors=True)


def _unprivileged_user() -> pwd.struct_passwd | None:
    """The user of the server if this process is root; None if it is not: then the server has the same user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody", "daemon"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL cannot run as root, and there is no user postgres, nobody or daemon")

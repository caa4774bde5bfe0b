"""Dagster works out some things anew for each instance and each resource. In tests it does so once a process.

That was a quarter of the CPU time of a small run, and a third of it on an instance on disk. Other processes are as they
are, and so is all that an instance stores.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from sqlite3 import Connection
from sqlite3 import connect as connect_sqlite
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import pytest


def quicken(patched: pytest.MonkeyPatch) -> None:
    """Read migrations and classes of resources once, and compile statements once.

    Databases of instances in memory are copied, and stay connected.
    """
    from dagster._core.storage.event_log import in_memory as events
    from dagster._core.storage.runs import in_memory as runs
    from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

    _read_migrations_once(patched)
    _read_classes_once(patched)
    _copy_tables(patched, events, "SqlEventLogStorageMetadata")
    _copy_tables(patched, runs, "RunStorageSqlMetadata")
    _stay_connected(patched, events.InMemoryEventLogStorage, "_connect")
    _stay_connected(patched, runs.InMemoryRunStorage, "connect")
    _keep_engines(patched)
    # It looks at its columns each time that a run is read.
    patched.setattr(SqlRunStorage, "has_run_stats_index_cols", lambda _: True)


def _read_migrations_once(patched: pytest.MonkeyPatch) -> None:
    from alembic.script import ScriptDirectory

    read = ScriptDirectory.from_config
    known: dict[Any, ScriptDirectory] = {}

    def once(config: Any) -> ScriptDirectory:
        place = (config.config_file_name, config.get_main_option("script_location"))
        return known[place] if place in known else known.setdefault(place, read(config))

    patched.setattr(ScriptDirectory, "from_config", once)


def _read_classes_once(patched: pytest.MonkeyPatch) -> None:
    from dagster._config.pythonic_config import resource

    read = resource.infer_schema_from_config_class  # pyright: ignore[reportPrivateImportUsage]
    known: WeakKeyDictionary[type, dict[frozenset[str], Any]] = WeakKeyDictionary()

    def once(of: type, description: str | None = None, fields_to_omit: set[str] | None = None) -> Any:
        if description is not None:
            return read(of, description, fields_to_omit)
        fields, omitted = known.setdefault(of, {}), frozenset(fields_to_omit or ())
        return fields[omitted] if omitted in fields else fields.setdefault(omitted, read(of, None, fields_to_omit))

    patched.setattr(resource, "infer_schema_from_config_class", once)


class _Tables:
    """Creates tables as those of the first database that it made."""

    def __init__(self, make: Callable[[Any], None]) -> None:
        self._make = make

    def create_all(self, connection: Any) -> None:
        self._first.backup(connection.connection.dbapi_connection)

    @property
    def _first(self) -> Connection:
        return _made(self._make)


@cache
def _made(make: Callable[[Any], None]) -> Connection:
    from sqlalchemy import create_engine

    first = connect_sqlite(":memory:", check_same_thread=False)
    with create_engine("sqlite://").connect() as connection:
        with connection.begin():
            make(connection)
        connection.connection.dbapi_connection.backup(first)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    return first


def _copy_tables(patched: pytest.MonkeyPatch, module: ModuleType, tables: str) -> None:
    metadata, stamp = getattr(module, tables), module.stamp_alembic_rev
    configuration = module.get_alembic_config(module.__file__, "sqlite/alembic/alembic.ini")

    def make(connection: Any) -> None:
        metadata.create_all(connection)
        stamp(configuration, connection)

    patched.setattr(module, tables, _Tables(make))
    patched.setattr(module, "stamp_alembic_rev", lambda *_: None)


def _stay_connected(patched: pytest.MonkeyPatch, storage: type[Any], name: str) -> None:
    """Keep the connections that the main thread has made, rather than connect for each statement."""
    connect: Callable[[Any], AbstractContextManager[Any]] = getattr(storage, name)
    dispose = storage.dispose
    free: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()

    @contextmanager
    def kept(self: Any) -> Iterator[Any]:
        if threading.current_thread() is not threading.main_thread():
            with connect(self) as connection:
                yield connection
            return
        connections = free.setdefault(self, [])
        with getattr(self, "_db_lock", nullcontext()):
            connection = connections.pop() if connections else _connected(self)
            try:
                with connection.begin():
                    yield connection
            finally:
                connections.append(connection)

    def closed(self: Any) -> None:
        for connection in free.pop(self, []):
            connection.close()
        dispose(self)

    patched.setattr(storage, name, kept)
    patched.setattr(storage, "dispose", closed)


def _connected(storage: Any) -> Any:
    from sqlalchemy import text

    connection = _compiled_once(storage._engine).connect()
    with connection.begin():
        connection.execute(text("PRAGMA foreign_keys=ON"))
    return connection


def _keep_engines(patched: pytest.MonkeyPatch) -> None:
    """Keep the engine of each database on disk, rather than make one for each statement. It keeps no connection."""
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        patched.setattr(module, "create_engine", _kept_engines(module.create_engine))


def _kept_engines(make: Callable[..., Any]) -> Callable[..., Any]:
    known: OrderedDict[str, Any] = OrderedDict()

    def once(address: str, **options: Any) -> Any:
        key = f"{address} {options}"
        if key not in known:
            known[key] = _compiled_once(make(address, **options))
            if len(known) > 50:
                known.popitem(last=False)
        return known[key]

    return once


def _compiled_once(engine: Any) -> Any:
    """Let an engine of SQLite know the statements that others compiled, which go by their dialect."""
    engine.dialect, engine._compiled_cache = _compiled()
    return engine


@cache
def _compiled() -> tuple[Any, Any]:
    from sqlalchemy import create_engine

    engine = create_engine("sqlite://")
    engine.connect().close()
    return engine.dialect, engine._compiled_cache

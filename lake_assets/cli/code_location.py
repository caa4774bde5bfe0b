"""The code location that a command uses: lake_assets' own, or that of ``--module``.

All commands get the lake, the tables and the asset graph from here. lake_assets' own lake and tables are opened from
the settings, since loading Dagster takes seconds. Those of another code location are its resources.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lake_assets import environments
from lake_assets.cli.errors import CommandError, describe
from lake_assets.lake.errors import LakeNotFound
from lake_assets.nosql.contract import UNFINISHED
from lake_assets.settings import LakeSettings

if TYPE_CHECKING:
    from dagster import AssetKey, Definitions

    from lake_assets._dagster import AssetGraph
    from lake_assets.lake.contract import Lake
    from lake_assets.nosql.contract import NoSQLStore
    from lake_assets.resources.lake import LakeResource
    from lake_assets.resources.nosql import NoSQLResource
    from lake_assets.resources.spark import SparkResource

_Resource = TypeVar("_Resource")


OWN_MODULE = "lake_assets.definitions"
"""Module of lake_assets' own code location."""


class NoLake(CommandError):
    """The code location has no lake yet."""


class CodeLocation(Protocol):
    """A code location, as commands use it."""

    @property
    def is_own(self) -> bool:
        """Whether it is lake_assets' own, which is configured by settings."""
        ...

    @property
    def module(self) -> str:
        """Name of its module."""
        ...

    def definitions(self) -> Definitions:
        """Load the definitions."""
        ...

    def open_lake(self, any_format: bool) -> Lake:
        """Open the lake, if ``any_format`` also one of another format. It is not made."""
        ...

    def embedded_lake_home(self) -> Path | None:
        """Return the folder of the lake. None if it is on a server."""
        ...

    def find_nosql(self, read_only: bool) -> NoSQLStore | None:
        """Open the NoSQL store. None if there is none."""
        ...

    def stores(self) -> tuple[LakeResource, NoSQLResource | None]:
        """Return the resources of the lake and of the tables. Nothing is opened."""
        ...

    def branch(self) -> str:
        """Return the branch that runs work on if they name no other one."""
        ...

    def spark(self) -> SparkResource:
        """Return the Spark resource as it is declared: environment variables are not resolved."""
        ...


class _Own:
    """lake_assets' own code location, configured by settings."""

    is_own = True
    module = OWN_MODULE

    def definitions(self) -> Definitions:
        with _quiet():
            from lake_assets.definitions import defs
        return defs

    def open_lake(self, any_format: bool) -> Lake:
        try:
            return environments.open_lake(any_format=any_format, create=False)
        except LakeNotFound as error:
            name = "LAKEFS_REPOSITORY" if environments.has_server() else "LAKE_HOME"
            raise NoLake(f"{describe(error)}: set {name} to your lake; a first run makes a new one") from error

    def embedded_lake_home(self) -> Path | None:
        return None if environments.has_server() else environments.lake_home()

    def find_nosql(self, read_only: bool) -> NoSQLStore | None:
        there = environments.on_dynamodb() or environments.lake_home().exists()
        return environments.open_nosql(read_only=read_only) if there else None

    def stores(self) -> tuple[LakeResource, NoSQLResource | None]:
        return environments.lake_resource(), environments.nosql_resource()

    def branch(self) -> str:
        return LakeSettings.read().branch

    def spark(self) -> SparkResource:
        return environments.spark_resource(environments.lake_resource())


class _Module:
    """The code location of a Python module, with its resources."""

    is_own = False

    def __init__(self, module: str) -> None:
        self.module = self._name = module
        self._definitions: Definitions | None = None

    def definitions(self) -> Definitions:
        if self._definitions is None:
            self._definitions = _load(self._name)
        return self._definitions

    def open_lake(self, any_format: bool) -> Lake:
        with _initialized(self._lake()) as lake:
            try:
                return lake.open(any_format=any_format, create=False)
            except LakeNotFound as error:
                raise NoLake(
                    f"{describe(error)}: run this where {self._name} runs, whose resources name this place; a first "
                    "run makes a new lake"
                ) from error

    def branch(self) -> str:
        with _initialized(self._lake()) as lake:
            return lake.branch

    def embedded_lake_home(self) -> Path | None:
        from lake_assets.resources.lake import EmbeddedLake

        with _initialized(self._lake()) as lake:
            return Path(lake.home) if isinstance(lake, EmbeddedLake) else None

    def _lake(self) -> LakeResource:
        from lake_assets.resources.lake import LakeResource

        resource = self._find(LakeResource, "lake")
        if resource is None:
            raise CommandError(
                f"the resources of {self._name} include no lake: add a lake of lake_assets to its Definitions, such as "
                "resources={'lake': EmbeddedLake(home='lake')}"
            )
        return resource

    def stores(self) -> tuple[LakeResource, NoSQLResource | None]:
        from lake_assets.resources.nosql import NoSQLResource

        return self._lake(), self._find(NoSQLResource, "nosql")

    def find_nosql(self, read_only: bool) -> NoSQLStore | None:
        from lake_assets.resources.nosql import NoSQLResource

        resource = self._find(NoSQLResource, "nosql")
        if resource is None:
            return None
        with _initialized(resource) as store:
            return store.open(read_only=read_only) if store.exists() else None

    def spark(self) -> SparkResource:
        from lake_assets.resources.lake import LakeResource
        from lake_assets.resources.spark import SparkResource

        return self._find(SparkResource, "spark") or SparkResource(lake=self._find(LakeResource, "lake"))

    def _find(self, kind: type[_Resource], key: str) -> _Resource | None:
        """Return the only resource of a kind. If there are several, the one with the usual key."""
        found = self._all(kind)
        if len(found) > 1 and key not in found:
            raise CommandError(
                f"{self._name} has several resources of one kind, {', '.join(sorted(found))}: give the one to use "
                f"the key {key!r}"
            )
        return found.get(key) or next(iter(found.values()), None)

    def _all(self, kind: type[_Resource]) -> dict[str, _Resource]:
        resources = self.definitions().resources or {}
        return {key: resource for key, resource in resources.items() if isinstance(resource, kind)}


_chosen: CodeLocation = _Own()


def choose(module: str) -> None:
    """Select the code location of a module. If the name is empty, select lake_assets' own.

    Parameters
    ----------
    module
        Name of the module.
    """
    global _chosen
    _chosen = _Own() if module in ("", OWN_MODULE) else _Module(module)


def module_name() -> str:
    """Return the name of the selected code location's module."""
    return _chosen.module


def is_own() -> bool:
    """Tell whether the selected code location is lake_assets' own."""
    return _chosen.is_own


def open_lake(*, any_format: bool = False) -> Lake:
    """Open the lake of the selected code location, if ``any_format`` also one of another format.

    Raises
    ------
    NoLake
        There is none. A command does not make one, since it may have been called in a wrong folder.
    """
    return _chosen.open_lake(any_format)


def embedded_lake_home() -> Path | None:
    """Return the folder of the selected code location's lake. None if it is on a server."""
    return _chosen.embedded_lake_home()


def find_nosql(*, read_only: bool = False) -> NoSQLStore | None:
    """Open the NoSQL store of the selected code location. None if there is none yet, or at all."""
    return _chosen.find_nosql(read_only)


def open_nosql(*, read_only: bool = False) -> NoSQLStore:
    """Open the NoSQL store of the selected code location.

    Parameters
    ----------
    read_only
        Whether the command only reads.

    Raises
    ------
    CommandError
        There is none.
    """
    store = find_nosql(read_only=read_only)
    if store is None:
        if is_own():
            where = environments.nosql_home()
            raise CommandError(f"there are no tables in {where}: set LAKE_HOME to your lake, or materialize a table")
        raise CommandError("this code location has no tables yet, or no NoSQL store among its resources")
    return store


@contextmanager
def stores() -> Generator[tuple[LakeResource, NoSQLResource | None]]:
    """Yield the resources of the lake and of the tables of the selected code location. Nothing is opened yet."""
    lake, nosql = _chosen.stores()
    with ExitStack() as opened:
        ready = opened.enter_context(_initialized(lake))
        yield ready, opened.enter_context(_initialized(nosql)) if nosql is not None else None


def working_branch() -> str:
    """Return the branch that runs of the selected code location work on if they name no other one."""
    return _chosen.branch()


def spark_resource() -> SparkResource:
    """Return the Spark resource of the selected code location, which is not started yet."""
    with _initialized(_chosen.spark()) as spark:
        return spark


def declared_spark() -> SparkResource:
    """Return it as it is declared. Credentials are not resolved, since they may not be there when an image is built."""
    return _chosen.spark()


def reflected_commits() -> Iterator[tuple[str, str]]:
    """Yield the tables and the other sinks of the selected code location, each with the commit that it reflects.

    It is an error if a store does not answer, since the commit that it needs is then not known.
    """
    from lake_assets.resources.nosql import NoSQLResource

    store = find_nosql()
    if store is not None:
        with closing(store):
            for table in store.tables():
                commit = store.source_commit(table)
                # A table that is unfinished is built anew, and needs no commit.
                if commit and not commit.startswith(UNFINISHED):
                    yield f"table {table}", commit
    for asset, resource in _sinks():
        if not isinstance(resource, NoSQLResource):
            with _initialized(resource) as sink:
                if (commit := sink.reflected_commit(asset)) is not None:
                    yield f"sink {asset.to_user_string()}", commit


def sink_commits(branch: str = "") -> Iterator[tuple[AssetKey, str | None]]:
    """Yield each sink of the selected code location with the commit that it reflects, or None if it was never fed.

    It is an error if a store does not answer.

    Parameters
    ----------
    branch
        The branch whose sinks are meant. By default, the one that the code location works on.
    """
    from lake_assets.resources.working_branch import OnBranch

    for asset, resource in _sinks():
        with _initialized(resource) as sink:
            found = sink.on(branch) if branch and isinstance(sink, OnBranch) else sink
            yield asset, found.reflected_commit(asset)


def _sinks() -> Iterator[tuple[AssetKey, Any]]:
    """Yield each sink asset with its resource."""
    from lake_assets.runs.sinks import sinks_of

    resources = load_definitions().resources or {}
    for asset, key in sinks_of(load_graph(), [key for key in resources if hasattr(resources[key], "reflected_commit")]):
        yield asset, resources[key]


def load_definitions() -> Definitions:
    """Load the definitions of the selected code location."""
    return _chosen.definitions()


def load_graph() -> AssetGraph:
    """Load the asset graph of the selected code location. Its blocking checks decide what may be published."""
    return load_definitions().resolve_asset_graph()


def _load(module: str) -> Definitions:
    from dagster import Definitions

    # As `python -m` does, and the dagster commands.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        with _quiet():
            loaded = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise CommandError(
                f"there is no module {module!r} in {here} or in the installed packages: run this in the folder "
                "from which Python imports it, and give its name as for `dagster dev -m`"
            ) from error
        raise CommandError(f"{module} does not load: {error}") from error
    except Exception as error:
        raise CommandError(f"{module} does not load: {type(error).__name__}: {' '.join(str(error).split())}") from error
    found: Any = getattr(loaded, "defs", None)
    if callable(found):  # a function decorated with `@dagster.definitions`
        load: Callable[[], Any] = found
        with _quiet():
            found = load()
    if isinstance(found, Definitions):
        return found
    every = [value for value in vars(loaded).values() if isinstance(value, Definitions)]
    if len(every) != 1:
        what = "no Definitions" if not every else f"{len(every)} Definitions, none of which is named defs"
        raise CommandError(f"{module} has {what}: it should have `defs = Definitions(…)`")
    return every[0]


def _initialized(resource: Any) -> AbstractContextManager[Any]:
    """Return a context of a resource whose environment variables are resolved, as in a run.

    At its end, the context closes what the resource opened for itself, but not what it opened for the caller.
    """
    return resource.process_config_and_initialize_cm()


@contextmanager
def _quiet() -> Generator[None]:
    """Suppress Dagster's warnings for developers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""The code location that a command works on: lake_assets' own, or the one that ``--module`` names.

Its lake, its tables and its asset graph are found here, and nowhere else. lake_assets' own lake and tables are opened
from the settings, since Dagster takes seconds to load; those of another code location are its resources.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lake_assets import environments
from lake_assets.cli.errors import CommandError

if TYPE_CHECKING:
    from dagster import Definitions
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

    from lake_assets.lake.contract import Lake
    from lake_assets.nosql.contract import NoSQLStore
    from lake_assets.outbox.contract import Outbox
    from lake_assets.resources.spark import SparkResource

_Resource = TypeVar("_Resource")


class CodeLocation(Protocol):
    """What commands ask of a code location."""

    @property
    def is_own(self) -> bool:
        """Whether it is lake_assets' own, whose settings are this program's."""
        ...

    def definitions(self) -> Definitions:
        """Load its definitions."""
        ...

    def open_lake(self, any_format: bool) -> Lake:
        """Open its lake, of another format than this program's if asked."""
        ...

    def find_nosql(self, read_only: bool) -> NoSQLStore | None:
        """Open its NoSQL store; None where it has none."""
        ...

    def outboxes(self, lake: Lake) -> Iterator[Outbox]:
        """Yield its outboxes for a lake's commits."""
        ...

    def find_spark(self) -> SparkResource | None:
        """Return its Spark resource, not started yet; None where it has none."""
        ...


class _Own:
    """lake_assets' own code location, by the settings."""

    is_own = True

    def definitions(self) -> Definitions:
        with _quiet():
            from lake_assets.definitions import defs
        return defs

    def open_lake(self, any_format: bool) -> Lake:
        return environments.open_lake(any_format=True) if any_format else environments.open_lake()

    def find_nosql(self, read_only: bool) -> NoSQLStore:
        return environments.open_nosql(read_only=read_only)

    def outboxes(self, lake: Lake) -> Iterator[Outbox]:
        yield environments.words_outbox_resource(environments.kafka_resource()).outbox(lake.repository)

    def find_spark(self) -> SparkResource:
        return environments.spark_resource()


class _Module:
    """The code location of a Python module, by its resources."""

    is_own = False

    def __init__(self, module: str) -> None:
        self._name = module
        self._definitions: Definitions | None = None

    def definitions(self) -> Definitions:
        if self._definitions is None:
            self._definitions = _load(self._name)
        return self._definitions

    def open_lake(self, any_format: bool) -> Lake:
        from lake_assets.resources.lake import LakeResource

        resource = self._find(LakeResource, "lake")
        if resource is None:
            raise CommandError(
                f"the resources of {self._name} hold no lake: give its Definitions a lake resource of lake_assets, "
                "by the key 'lake'"
            )
        return resource.open(any_format=any_format)

    def find_nosql(self, read_only: bool) -> NoSQLStore | None:
        from lake_assets.resources.nosql import NoSQLResource

        resource = self._find(NoSQLResource, "nosql")
        return resource.open(read_only=read_only) if resource is not None else None

    def outboxes(self, lake: Lake) -> Iterator[Outbox]:
        from lake_assets.resources.outbox import OutboxResource

        for resource in self._all(OutboxResource).values():
            yield _initialized(resource).outbox(lake.repository)

    def find_spark(self) -> SparkResource | None:
        from lake_assets.resources.spark import SparkResource

        return self._find(SparkResource, "spark")

    def _find(self, kind: type[_Resource], key: str) -> _Resource | None:
        """Return the one resource of a kind; of several the one with the usual key."""
        found = self._all(kind)
        if len(found) > 1 and key not in found:
            raise CommandError(
                f"{self._name} has several resources of one kind, {', '.join(sorted(found))}: give the one that "
                f"is meant here the key {key!r}"
            )
        chosen = found.get(key) or next(iter(found.values()), None)
        return _initialized(chosen) if chosen is not None else None

    def _all(self, kind: type[_Resource]) -> dict[str, _Resource]:
        resources = self.definitions().resources or {}
        return {key: resource for key, resource in resources.items() if isinstance(resource, kind)}


_chosen: CodeLocation = _Own()


def choose(module: str) -> None:
    """Let commands work on a module's code location; on lake_assets' own where the name is empty."""
    global _chosen
    _chosen = _Module(module) if module else _Own()


def is_own() -> bool:
    """Tell whether the chosen code location is lake_assets' own."""
    return _chosen.is_own


def open_lake(*, any_format: bool = False) -> Lake:
    """Open the lake of the chosen code location, of another format than this program's if asked."""
    return _chosen.open_lake(any_format)


def find_nosql(*, read_only: bool = False) -> NoSQLStore | None:
    """Open the NoSQL store of the chosen code location; None where it has none."""
    return _chosen.find_nosql(read_only)


def open_nosql(*, read_only: bool = False) -> NoSQLStore:
    """Open the NoSQL store of the chosen code location.

    Raises
    ------
    CommandError
        It has none.
    """
    store = find_nosql(read_only=read_only)
    if store is None:
        raise CommandError("this code location has no NoSQL store among its resources, so it has no tables")
    return store


def find_spark() -> SparkResource | None:
    """Return the Spark resource of the chosen code location, not started yet; None where it has none."""
    return _chosen.find_spark()


def reflected_commits(lake: Lake) -> Iterator[str]:
    """Yield the commits that the sinks of the chosen code location reflect.

    A store that does not answer is an error: what it needs is not known.
    """
    store = find_nosql()
    if store is not None:
        with closing(store):
            for table in store.tables():
                if commit := store.source_commit(table):
                    yield commit
    for outbox in _chosen.outboxes(lake):
        if commit := outbox.delivered():
            yield commit


def load_definitions() -> Definitions:
    """Load the definitions of the chosen code location."""
    return _chosen.definitions()


def load_graph() -> AssetGraph:
    """Load the asset graph of the chosen code location, whose blocking checks decide what may be published."""
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
                f"there is no module {module!r} in {here} or among the installed packages: run this in the folder "
                "from which Python imports it, and name it as `dagster dev -m` does"
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
        what = "no Definitions" if not every else f"{len(every)} Definitions, and none of them is called defs"
        raise CommandError(f"{module} holds {what}: it should say `defs = Definitions(…)`")
    return every[0]


def _initialized(resource: Any) -> Any:
    """Return a resource with its environment variables looked up, as a run has it."""
    # Nothing is opened yet that leaving the context would close.
    with resource.process_config_and_initialize_cm() as ready:
        return ready


@contextmanager
def _quiet() -> Generator[None]:
    """Leave out Dagster's notes for developers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""The syntax tree of a query as Spark's own parser makes it, checked against what is allowed. Nothing is run for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from lake_assets.sql.errors import SqlError, first_line
from lake_assets.sql.spark_allowed import FUNCTIONS, NODES, TABLE_FUNCTIONS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SUBQUERIES = frozenset(("ScalarSubquery", "ListQuery", "Exists", "LateralSubquery"))


def check_plan(session: SparkSession, text: str, views: Collection[str]) -> None:
    """Refuse a text of which Spark makes anything but a query of what is allowed.

    Parameters
    ----------
    session
        Parses the text.
    text
        The text, in Spark's dialect.
    views
        Names of the only tables that it may read.

    Raises
    ------
    SqlError
        It names what is not allowed.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    java: Any = session._jsparkSession  # pyright: ignore[reportPrivateUsage]
    try:
        plan = java.sessionState().sqlParser().parsePlan(text)
    except (PySparkException, Py4JError) as error:
        raise SqlError(f"Spark cannot parse this query: {first_line(error)}") from error
    found = list(_nodes(plan))
    known = {*views}
    for kind, node in found:
        if kind == "UnresolvedWith":
            relations = node.cteRelations()
            known |= {str(relations.apply(at)._1()) for at in range(relations.size())}
    for kind, node in found:
        if kind not in NODES:
            raise SqlError(f"{kind} is not allowed on Spark: only one query is run, and it only reads")
        if kind == "UnresolvedRelation" and _path(node.multipartIdentifier()) not in [[name] for name in known]:
            raise SqlError(f"{'.'.join(_path(node.multipartIdentifier()))} is no asset and no table")
        if kind == "UnresolvedFunction":
            _refuse(_path(node.nameParts()), FUNCTIONS)
        if kind in ("UnresolvedTableValuedFunction", "UnresolvedGenerator"):
            name = node.name()
            _refuse(_path(name) if kind == "UnresolvedTableValuedFunction" else [name.funcName()], TABLE_FUNCTIONS)


def _refuse(path: list[str], allowed: Collection[str]) -> None:
    if len(path) != 1 or path[0].lower() not in allowed:
        raise SqlError(f"the function {'.'.join(path)} is not allowed on Spark, since it is not known to only compute")


def _path(names: Any) -> list[str]:
    return [str(names.apply(at)) for at in range(names.size())]


def _nodes(plan: Any) -> Iterator[tuple[str, Any]]:
    """Yield all plans and expressions below a plan, each with the name of its class."""
    waiting: list[tuple[Any, bool]] = [(plan, True)]
    while waiting:
        node, is_plan = waiting.pop()
        kind = str(node.getClass().getSimpleName()).rstrip("$")
        yield kind, node
        waiting += [(child, is_plan) for child in _all(node.children())]
        if is_plan:
            waiting += [(child, False) for child in _all(node.expressions())]
        if kind == "UnresolvedWith":
            relations = node.cteRelations()
            waiting += [(relations.apply(at)._2(), True) for at in range(relations.size())]
        elif kind in _SUBQUERIES:
            waiting.append((node.plan(), True))


def _all(sequence: Any) -> list[Any]:
    return [sequence.apply(at) for at in range(sequence.size())]

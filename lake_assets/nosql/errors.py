"""What an operation of a store raises."""

from __future__ import annotations


class NoSQLError(Exception):
    """An operation of the store failed. The message names the store, the table and the remedy."""


class TableNotFound(NoSQLError):
    """There is no table of that name."""


class TableGone(NoSQLError):
    """The store knows a table, and its items are not there: somebody deleted it without the store."""


class TableExists(NoSQLError):
    """The mode is ``errorifexists``, and the table exists."""


class SchemaMismatch(NoSQLError):
    """The frame's columns or key do not match the table. Nothing was written."""


class StaleWrite(NoSQLError):
    """The table no longer reflects the commit that the write was computed from. Nothing was written."""

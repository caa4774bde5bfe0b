"""The source of stock files, as a Dagster resource: any source of files, or the generator."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from dagster import ConfigurableResource
from pydantic import Field

from lake_assets import sources
from lake_assets.defs.stocks.generator import DEFAULT_ROWS
from lake_assets.defs.stocks.naming import HOURLY_FILES
from lake_assets.resources.s3 import S3Settings
from lake_assets.sources.retries import RetryLimits

if TYPE_CHECKING:
    from lake_assets.sources.contract import Source
    from lake_assets.sources.s3 import S3Client


_GENERATED = re.compile(r"(?:generated(?::(?P<window>.*))?)?")


def open_source(
    spec: str,
    *,
    s3: Callable[[], S3Client] | None = None,
    generator_rows: int = DEFAULT_ROWS,
    limits: RetryLimits | None = None,
    links_outside: bool = False,
) -> Source[datetime]:
    """Return the source of a specification. Nothing is read or connected yet.

    Parameters
    ----------
    spec
        As of :func:`lake_assets.sources.open_source`. Empty or ``generated`` is the generator, and
        ``generated:2017-07-24..2017-07-28`` makes it list those days.
    s3, limits, links_outside
        As of :func:`lake_assets.sources.open_source`.
    generator_rows
        Number of rows of a generated trading hour.

    Raises
    ------
    SourceError
        The specification is not valid.

    Examples
    --------
    >>> open_source("https://host/stocks/{date}_BINS_XETR{hour}.csv?token=abc").describe()
    'https://host/stocks/{date}_BINS_XETR{hour}.csv?token=***'
    """
    if generated := _GENERATED.fullmatch(spec.strip()):
        from lake_assets.defs.stocks.generated import GeneratedSource

        return GeneratedSource(generated["window"] or "", generator_rows)
    return sources.open_source(spec, HOURLY_FILES, s3=s3, limits=limits, links_outside=links_outside)


class StocksSourceResource(ConfigurableResource["StocksSourceResource"]):
    """The source of the hourly stock files.

    Examples
    --------
    >>> from dagster import EnvVar
    >>> resource = StocksSourceResource(source=EnvVar("STOCKS_SOURCE"))
    """

    source: str = Field(
        default="",
        repr=False,  # may hold credentials
        description="Folder, http(s):// or s3:// base, or template with {date} and {hour}; empty: generated",
    )
    generator_rows: int = Field(default=DEFAULT_ROWS, ge=0, description="Rows of a generated trading hour")
    tries: int = Field(default=RetryLimits().tries, ge=1, description="Maximal number of tries of a fetch")
    deadline_seconds: float = Field(
        default=RetryLimits().deadline, gt=0, description="Time limit of a fetch with all its tries"
    )
    links_outside: bool = Field(default=False, description="Whether links in a folder may lead out of it")
    s3: S3Settings = Field(default_factory=S3Settings, description="Settings of the S3 resource")

    def open(self, override: str | None = None, limits: RetryLimits | None = None) -> Source[datetime]:
        """Return the source, or the one of a run's configuration.

        Parameters
        ----------
        override
            A source that replaces the configured one.
        limits
            Limits that replace the configured ones.

        Raises
        ------
        SourceError
            The source is not valid.
        """
        return open_source(
            override or self.source,
            s3=self.s3.client,
            generator_rows=self.generator_rows,
            limits=limits or RetryLimits(tries=self.tries, deadline=self.deadline_seconds),
            links_outside=self.links_outside,
        )

"""The columns of ticks, and the schema of their messages."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lake_assets.messages.contract import Message
from lake_assets.series.samples import TIME, Metric

if TYPE_CHECKING:
    import pyarrow


class Tick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One trade: a message has exactly these fields."""

    # Unlike \Z, a dollar would also match before a line's end.
    isin: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}[A-Z0-9]{9}[0-9]\Z")]
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    price: Annotated[float, msgspec.Meta(gt=0)]
    volume: Annotated[float, msgspec.Meta(ge=0)]

    def __post_init__(self) -> None:
        # Avro has numbers that are none, and a time near the first or last year may have no year in UTC.
        if not (math.isfinite(self.price) and math.isfinite(self.volume)):
            raise ValueError("Expected finite numbers")
        try:
            self.time.astimezone(timezone.utc)
        except OverflowError:
            raise ValueError(f"Expected a time within the years 1 to 9999 in UTC: {self.time}") from None


AVRO: dict[str, Any] = {
    "type": "record",
    "name": "Tick",
    "fields": [
        {"name": "isin", "type": "string"},
        {"name": "currency", "type": "string"},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "price", "type": "double"},
        {"name": "volume", "type": "double"},
    ],
}

METRIC = Metric(["isin", "currency"], ["price", "volume"])
KEY = METRIC.key
REJECTED_KEY = ["partition", "offset"]


def ticks_schema() -> pyarrow.Schema:
    """Return the columns of ticks: those of the samples, and the place of the message."""
    import pyarrow as pa

    return pa.schema([*METRIC.schema, ("partition", pa.string()), ("offset", pa.string())])


def rejected_schema() -> pyarrow.Schema:
    """Return the columns of messages that are no ticks."""
    import pyarrow as pa

    return pa.schema(
        [("partition", pa.string()), ("offset", pa.string()), ("reason", pa.string()), ("body", pa.binary())]
    )


def as_row(message: Message, tick: Tick) -> dict[str, Any]:
    """Return the row of a tick.

    Parameters
    ----------
    message
        Its message.
    tick
        The tick.
    """
    found = {name: getattr(tick, name) for name in ("isin", "currency", "price", "volume")}
    return {**found, TIME: tick.time.astimezone(timezone.utc), "partition": message.partition, "offset": message.offset}

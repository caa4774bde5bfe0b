"""Decodes messages of a known schema. A message that does not fit it comes with the reason."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
Format = Literal["json", "avro"]
_LONGEST = 1 << 20


class Decoder(Generic[T]):
    """Decodes messages as values of one class, which checks types and bounds.

    Parameters
    ----------
    type_
        The class.
    format_
        ``json``, or ``avro``: one datum by the schema, without a header.
    avro
        The Avro schema of the messages, with the fields of the class.
    """

    def __init__(self, type_: type[T], format_: Format, avro: Mapping[str, Any]) -> None:
        self._type = type_
        self._json = msgspec.json.Decoder(type_) if format_ == "json" else None
        self._schema: Any = None
        if format_ == "avro":
            import fastavro

            self._schema = fastavro.parse_schema(dict(avro))

    def decode(self, body: bytes) -> T | str:
        """Return the value of a message, or why there is none.

        Parameters
        ----------
        body
            The message.
        """
        if len(body) > _LONGEST:
            return f"{len(body)} bytes: more than {_LONGEST}"
        try:
            return self._json.decode(body) if self._json is not None else self._avro(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return " ".join(str(error).split())[:500]

    def _avro(self, body: bytes) -> T | str:
        import fastavro

        stream = io.BytesIO(body)
        try:
            datum = fastavro.schemaless_reader(stream, self._schema, None)
        except Exception as error:  # noqa: BLE001 -- fastavro has no base class for what broken bytes can do
            return f"not of the Avro schema: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        if left := len(body) - stream.tell():
            return f"not of the Avro schema: {left} byte(s) are left"
        return msgspec.convert(datum, self._type)

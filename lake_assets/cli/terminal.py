"""The standard streams. No text controls a terminal, and a stream that is closed or full is an error in one line."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from lake_assets.text.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

KEPT = "\n\t"
"""Characters that are printed on a terminal although they are not printable."""


class _Terminal(io.TextIOWrapper):
    """A terminal as a text stream. It escapes what could control the terminal."""

    def write(self, text: str) -> int:
        super().write(printable(text, KEPT))
        return len(text)


def protect() -> None:
    """Escape all text that is printed on a terminal from now on, by whatever function."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, _Terminal) and stream.isatty():
            setattr(sys, name, _Terminal(stream.buffer, stream.encoding, "backslashreplace", line_buffering=True))


def unprotect() -> None:
    """Print text as it is from now on, for a prompt that draws on the terminal itself."""
    for name in ("stdout", "stderr"):
        if isinstance(stream := getattr(sys, name), _Terminal):
            stream.detach()  # Otherwise the end of this object would close the stream that both share.
            setattr(sys, name, getattr(sys, f"__{name}__"))


def open_closed() -> None:
    """Open the standard streams that the caller has closed (`>&-`). Otherwise the next opened file takes their place.

    Reading stdin and writing stdout then fail, and what is written to stderr is dropped.
    """
    for number, (name, mode, access) in enumerate(
        (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_WRONLY))
    ):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, access)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - open until the end


def output_error() -> str | None:
    """Write what is left for stdout. Return why that fails, or None."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python tries again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return f"standard output cannot be written: {error.strerror}"
    return None


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return rich's console for a stream. It has colours only on a terminal, and none if NO_COLOR is set.

    Parameters
    ----------
    stderr
        Whether to print on stderr and not on stdout.
    width
        Number of columns. Default: that of the terminal.
    """
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Safe(Console):
        """A console that escapes texts, but not its own colours."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for text, style, control in super().render(renderable, options):
                yield Segment(text if control else printable(text, KEPT), style, control)

    stream: TextIO = sys.stderr if stderr else sys.stdout
    # Colours would be escaped by the protected stream. Rich escapes texts before it adds them.
    drawn = sys.__stderr__ if stderr else sys.__stdout__
    plain = not stream.isatty() or bool(os.environ.get("NO_COLOR"))
    return Safe(
        file=drawn if isinstance(stream, _Terminal) else stream,
        # FORCE_COLOR must not colour a pipe, whose reader wants plain text.
        force_terminal=None if stream.isatty() else False,
        color_system=None if plain else "auto",
        highlight=False,
        emoji=False,
        width=width,
    )

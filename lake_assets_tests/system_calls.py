"""What a program asks of the disk, as `strace` sees it, and what of it would outlive a power loss."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

CHANGING = (
    "openat,creat,write,pwrite64,writev,pwritev,ftruncate,fsync,fdatasync,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat"
)
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FILE = re.compile(r"^(\d+)<(.*?)>")


@cache
def why_not() -> str:
    """Return why no program can be traced here; empty where one can."""
    if shutil.which("strace") is None:
        return "wants strace: apt-get install strace"
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return f"strace may not trace here: {tried.stderr.strip()}" if tried.returncode else ""


def skip_without_strace() -> None:
    """Skip the test where no program can be traced."""
    if why_not():
        pytest.skip(why_not())


def traced(
    command: Sequence[str], log: Path, environment: Mapping[str, str], options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program with its calls written to ``log``; strace ends as the program does."""
    trace = ["strace", "-f", "-y", "-s", "0", "-o", str(log), "-e", f"trace={CHANGING}", *options]
    return subprocess.run(
        [*trace, *command], env=dict(environment), capture_output=True, text=True, check=False, timeout=300
    )


@dataclass(frozen=True)
class Call:
    """One call: which thread's, its name, the paths it names, and the file it works on."""

    thread: str
    name: str
    paths: tuple[str, ...]
    file: str
    flags: str
    number: int


def calls(log: Path, *, failed: bool = False) -> Iterator[Call]:
    """Yield the calls that succeeded, in the order in which they ended; those that ``failed``, too, if asked.

    `strace` counts both where it is to inject something at the n-th.
    """
    begun: dict[str, str] = {}
    for line in log.read_text(errors="replace").splitlines():
        thread, _, rest = line.partition(" ")
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>").strip()
            continue
        if resumed := re.match(r"\s*<\.\.\. \w+ resumed>(.*)", rest):
            line = f"{thread} {begun.pop(thread, '')}{resumed[1]}"
        if (found := _LINE.match(line)) and (failed or int(found[4]) >= 0):
            name, arguments = found[2], found[3]
            at = _FILE.match(arguments)
            number = int(found[4]) if name == "openat" else int(at[1]) if at else -1
            yield Call(found[1], name, tuple(_QUOTED.findall(arguments)), at[2] if at else "", arguments, number)


@dataclass
class Disk:
    """What of a folder would be there after a power loss: the bytes of files, and names in folders.

    Only what the calls made counts; what was there before is taken for synced.
    """

    home: str
    names: dict[str, int] = field(default_factory=dict[str, int])
    unsynced_bytes: set[int] = field(default_factory=set[int])
    unsynced_names: set[str] = field(default_factory=set[str])
    _next: int = 0

    def apply(self, call: Call) -> None:
        """Follow one call."""
        file = call.file.removesuffix(" (deleted)")
        if call.name in ("openat", "creat"):
            (path,) = call.paths[-1:]
            if "O_CREAT" in call.flags and path.startswith(self.home) and path not in self.names:
                self._name(path, self._new())
        elif call.name in ("write", "pwrite64", "writev", "pwritev", "ftruncate"):
            if file.startswith(self.home):
                self.unsynced_bytes.add(self._node(file))
        elif call.name in ("fsync", "fdatasync"):
            self.unsynced_bytes.discard(self._node(file))
            self.unsynced_names -= {path for path in self.unsynced_names if path.rpartition("/")[0] == file}
        elif call.name.startswith("rename"):
            old, new = call.paths
            node = self._node(old)
            for path in [path for path in self.names if path.startswith(f"{old}/")]:
                self.names[new + path[len(old) :]] = self.names.pop(path)
                if path in self.unsynced_names:
                    self.unsynced_names ^= {path, new + path[len(old) :]}
            self._forget(old)
            self._name(new, node)
        elif call.name.startswith("link"):
            self._name(call.paths[1], self._node(call.paths[0]))
        elif call.name == "unlink":
            self._forget(call.paths[0])
        elif call.name.startswith("mkdir"):
            self._name(call.paths[-1], self._new())

    def lost(self, path: str) -> str:
        """Return what of a file would be lost now; empty where nothing would."""
        if self.names.get(path) in self.unsynced_bytes:
            return f"the bytes of {path}"
        folders = [path]
        while folders[-1].startswith(self.home):
            if folders[-1] in self.unsynced_names:
                return f"the name of {folders[-1]}"
            folders.append(folders[-1].rpartition("/")[0])
        return ""

    def _new(self) -> int:
        self._next += 1
        return self._next

    def _node(self, path: str) -> int:
        if path not in self.names:
            self.names[path] = self._new()
        return self.names[path]

    def _name(self, path: str, node: int) -> None:
        self.names[path] = node
        if path.startswith(self.home):
            self.unsynced_names.add(path)

    def _forget(self, path: str) -> None:
        self.names.pop(path, None)
        self.unsynced_names.discard(path)

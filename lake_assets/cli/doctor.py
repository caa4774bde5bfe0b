"""The command `doctor`: checks of the installation, one line for each."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets import domains, environments
from lake_assets.cli import env_file
from lake_assets.cli.code_location import (
    NoLake,
    embedded_lake_home,
    find_nosql,
    is_own,
    load_graph,
    open_lake,
    working_branch,
)
from lake_assets.cli.dagster_instance import dagster_home
from lake_assets.cli.errors import CommandError, describe
from lake_assets.cli.output import Json, amount, cell, emit_all, progress
from lake_assets.cli.terminal import console
from lake_assets.cli.verifying import Rate, Sample
from lake_assets.lake.contract import MAIN
from lake_assets.lake.errors import Mendable
from lake_assets.lake.scrub import Scrub
from lake_assets.settings import SettingError, Settings, Variable
from lake_assets.text.masking import MASK, mask, unclear_user_part
from lake_assets.text.printable import printable

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake

LEAST_FREE = 1_000_000_000
"""Minimal free disk space in bytes. With less, a run is likely to fail."""


_TRIES = 3
"""Number of things that are mended before the lake is opened, at most."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check: its detail is what was found, or the remedy. A warning does not count as a fault."""

    name: str
    ok: bool
    detail: str
    warning: bool = False


def doctor(
    verify: Annotated[bool, typer.Option("--verify", help="Hash every object of main again.")] = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="Mend main: its protection, uncommitted changes (lakeFS).")
    ] = False,
    branch: Annotated[str, typer.Option(metavar="NAME", help="With --mend: drop the changes of this branch.")] = MAIN,
    repair: Annotated[
        bool, typer.Option("--repair", help="Hash the whole lake, and restore what is damaged from other copies.")
    ] = False,
    backup: Annotated[
        Path | None, typer.Option("--from", metavar="BACKUP", help="With --repair: a backup to restore from, too.")
    ] = None,
    sample: Sample = 100,
    rate: Rate = None,
    json: Json = False,
) -> None:
    """Check the installation.

    Checks versions, Java, lake, store and settings, and prints one line for each: ok, or the remedy. The exit code is
    1 if anything is not ok.
    """
    if backup is not None and not repair:
        raise typer.BadParameter("--from goes with --repair")
    checks: list[Check] = []

    def found() -> Iterator[Check]:
        checked = _checks(Scrub(sample, rate) if verify else None, branch if mend else "")
        for check in chain(_repaired(backup) if repair else (), checked):
            checks.append(check)
            yield check

    if json:
        emit_all(map(asdict, found()))
    else:
        for check in found():
            _print(check)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)


def _print(check: Check) -> None:
    state = "warn" if check.warning else "ok" if check.ok else "NOT OK"
    text = f"{check.name:<26}  {printable(check.detail)}"
    if not sys.stdout.isatty():
        print(f"{state:<6}  {text}")
        return
    from rich.text import Text

    style = "yellow" if check.warning else "green" if check.ok else "bold red"
    console().print(Text(f"{state:<6}", style=style), Text(text), sep="  ", soft_wrap=True)


def _checks(verify: Scrub | None, mend: str) -> Iterator[Check]:
    for name, look in (
        ("python", _python),
        ("lake_assets", lambda: version("lake_assets")),
        ("dagster", lambda: version("dagster")),
        ("pyspark", lambda: version("pyspark")),
        ("java", _java),
        ("DAGSTER_HOME", _dagster_home),
    ):
        yield _check(name, look)
    if is_own():
        yield _check("disk", _disk)
    yield from _lake(verify, mend)
    yield _check("nosql", _nosql)
    yield _check("definitions", _definitions)
    # Another code location is configured by its resources, not by settings.
    for settings in domains.all_settings() if is_own() else ():
        yield from _settings(settings)
    for name, nearest in domains.unknown_variables().items() if is_own() else ():
        yield Check(name, True, domains.explain_unknown(nearest), warning=True)


def _check(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except Exception as error:  # noqa: BLE001 - every error is a result of the check
        return Check(name, False, describe(error))


def _python() -> str:
    found = sys.version.split()[0]
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        remedy = "make PYTHON=python3.12 setup" if is_own() else "make the environment with one of them"
        raise CommandError(f"{found}: lake_assets needs Python 3.10 to 3.13; {remedy}")
    return f"{found} ({sys.executable})"


def _java() -> str:
    from lake_assets.spark.session import check_java, java_version

    try:
        check_java()
    except RuntimeError as error:
        raise CommandError(str(error)) from error
    java, major = java_version()
    source = "by JAVA_HOME" if os.environ.get("JAVA_HOME") else "on PATH"
    return f"{major} ({shutil.which(java) or java}, found {source})"


def _dagster_home() -> str:
    home = dagster_home()
    _try_to_write(str(home))
    if not (home / "dagster.yaml").is_file():
        raise CommandError(
            f"{home} contains no dagster.yaml: put one there; an empty file is Dagster's defaults"
            + ("; `make setup` links that of this project" if is_own() else "")
        )
    return str(home)


def _disk() -> str:
    home = environments.lake_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        _try_to_write(str(home))
    except OSError as error:
        raise CommandError(
            f"LAKE_HOME {home} is not writable ({error.strerror}): choose another folder, or give this "
            "user write permission"
        ) from error
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE:
        raise CommandError(f"only {amount(free)} free at {home}: free disk space, such as by `lake-assets clean`")
    return f"{home} is writable, {amount(free)} free"


def _try_to_write(folder: str) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass


def _repaired(backup: Path | None) -> Iterator[Check]:
    """Repair the lake, and yield a check for each damage."""
    name = "lake repair"
    try:
        home = embedded_lake_home()
        if home is None:
            raise CommandError(
                "only an embedded lake is repaired here: restore the lakeFS server's store from a backup"
            )
        from lake_assets.lake.embedded.repairs import repair

        found = False
        for finding in repair(home, backup):
            found = True
            yield Check(name, bool(finding.mended), str(finding))
        if not found:
            yield Check(name, True, "nothing is damaged")
    except Exception as error:  # noqa: BLE001 - as in _check
        yield Check(name, False, describe(error))


def _lake(verify: Scrub | None, mend: str) -> Iterator[Check]:
    """Yield the checks of the lake; ``mend`` names the branch whose uncommitted changes are dropped, if any."""
    try:
        lake, done = _opened(bool(mend))
    except NoLake as error:
        yield Check("lake", True, f"none yet: {error}")
        return
    except Exception as error:  # noqa: BLE001 - as in _check
        yield Check("lake", False, describe(error))
        return
    with closing(lake):
        for text in done:
            yield Check("lake", True, text)
        yield _check("lake", lambda: _head(lake))
        if (branch := working_branch()) != MAIN:
            yield _check("LAKE_BRANCH", lambda: _working_branch(lake, branch))
        yield _check("lake protection", lambda: _protection(lake, bool(mend)))
        yield _check("lake uncommitted", lambda: _uncommitted(lake, mend))
        yield _check("lake leftovers", lambda: _leftovers(lake))
        if verify is not None:
            yield _check("lake objects", lambda: _verified(lake, verify))


def _working_branch(lake: Lake, branch: str) -> str:
    from lake_assets.runs.branch import refuse_target

    refuse_target(lake, branch, "runs cannot begin")
    return f"{branch} at {lake.head(branch).id}"


def _opened(mend: bool) -> tuple[Lake, list[str]]:
    """Open the lake, and mend it before if it cannot be opened as it is. Return what was done, too."""
    done: list[str] = []
    while True:
        try:
            return open_lake(), done
        except Mendable as error:
            if not mend or len(done) == _TRIES:
                raise
            done.append(error.mend())


def _head(lake: Lake) -> str:
    return f"{MAIN} at {lake.head(MAIN).id}, {len(lake.branches())} branch(es)"


def _protection(lake: Lake, mend: bool) -> str:
    found = ", ".join(lake.unprotected())
    if not found:
        return f"only a merge changes {MAIN}"
    if not mend:
        raise CommandError(
            f"other programs can write to {found}, whose protection was removed: "
            "`lake-assets doctor --mend` restores it"
        )
    lake.protect_again()
    return f"protected {found} again"


def _uncommitted(lake: Lake, mend: str) -> str:
    if mend:
        dropped = lake.changes(mend)
        if dropped:
            lake.drop_changes(mend)
            return f"{mend}: dropped {len(dropped)} uncommitted change(s), such as {dropped[0]!r}"
    from lake_assets.runs.branch import branch_name

    # Other branches are other people's, who may well be at work there.
    runs = [branch for branch in lake.branches() if branch.startswith(branch_name(""))]
    protected = sorted(lake.protected_branches(), key=lambda name: name != MAIN)
    for branch in (*protected, *runs):
        found = lake.changes(branch)
        if found:
            which = "" if branch == MAIN else f" --branch {branch}"
            blocked = "its publication" if branch in runs else "every publication"
            raise CommandError(
                f"{branch} has {len(found)} uncommitted change(s), such as {found[0]!r}, which block {blocked}: "
                f"`lake-assets doctor --mend{which}` drops them"
            )
    return "none"


def _leftovers(lake: Lake) -> str:
    left = lake.leftovers()
    return f"{left}: `lake-assets clean` or `sweep` removes unused ones" if left else "none"


def _verified(lake: Lake, scrub: Scrub) -> str:
    commit = lake.head(MAIN).id
    objects = list(lake.list(commit))
    total = sum(item.size for item in objects)
    with progress("Verifying", total) as advance:
        faults = [f"{path}: {fault}" for path, fault in scrub.faults(lake, commit, objects, advance)]
    if faults:
        some = "; ".join(faults[:3]) + ("; …" if len(faults) > 3 else "")
        raise CommandError(f"{len(faults)} of {len(objects)} are damaged: {some}. Publish them again from their source")
    which = "all" if scrub.hashed == len(objects) else "their"
    return f"{len(objects)} object(s) of {MAIN}, {amount(total)}: {which} checksums match; {scrub.describe()}"


def _nosql() -> str:
    store = find_nosql()
    if store is None:
        return "none yet"
    with closing(store):
        return f"opens, {len(store.tables())} table(s)"


def _definitions() -> str:
    return f"load: {len(load_graph().get_all_asset_keys())} assets"


def _settings(settings: type[Settings]) -> Iterator[Check]:
    """Yield a check for each variable: its value, or its problem."""
    wrong: dict[str, str] = {}
    try:
        settings.read()
    except SettingError as error:
        wrong = dict(error.wrong)
    for variable in settings.variables():
        yield Check(variable.name, variable.name not in wrong, wrong.get(variable.name) or shown(variable))


def shown(variable: Variable) -> str:
    """Return a variable's value, with secrets masked, and whether it is the default or overrides an exported one."""
    hidden = (variable.secret and variable.value) or unclear_user_part(variable.value)
    value = MASK if hidden else mask(variable.value)
    notes = ["default"] if not os.environ.get(variable.name) else []
    if variable.name in env_file.overridden:
        notes.append("from .env; the exported value is not used")
    return cell(value) + (f" ({'; '.join(notes)})" if notes else "")

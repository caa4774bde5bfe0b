"""What a merge into ``main`` states: which checks passed on what it brings, or who overrode them and why.

This folder knows no Dagster: whoever merges finds out what passed. The lake holds them to it. A path that no entry
covers, or that the merge would leave in another state than was audited, does not reach ``main``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lake_assets.lake.contract import MAIN
from lake_assets.lake.errors import Unaudited
from lake_assets.lake.names import ancestors, belongs_to

RECORD = "audit"
"""Commit metadata: what a merge into ``main`` stated, as JSON.

It stands in a lake's first commit, too: a later commit of ``main`` without it went past the rule. Of a lake that is
older than the record, commits before the first record are 'not recorded'.
"""


@dataclass(frozen=True, slots=True)
class Override:
    """A named person lets something reach ``main`` without its checks.

    Parameters
    ----------
    by
        Who. It is a statement, not a proof.
    reason
        Why.
    checks
        The checks that are overridden, such as ``prices:positive``; empty for what has none, such as a transaction.
    """

    by: str
    reason: str
    checks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("by", "reason"):
            if not getattr(self, name).strip():
                raise ValueError(f"an override says {name!r}: it stands in the commit for ever")


@dataclass(frozen=True, slots=True)
class Entry:
    """What allows one place to change on ``main``.

    Parameters
    ----------
    asset
        As Dagster shows its key; empty where the files belong to no asset.
    partition
        Its partition; None where it has none.
    place
        The folder, or the file, that is covered.
    passed, warned, overridden
        Checks by how they ended. None of them: the asset has no blocking checks.
    back_to
        The commit of ``main`` that held the same; empty where the place does not go back.
    """

    asset: str
    partition: str | None
    place: str
    passed: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    back_to: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was audited, to be merged as it is.

    Parameters
    ----------
    source
        The commit that was looked at; no other is merged with this audit.
    entries
        What may change; nothing else may.
    override
        By whom and why, where an entry has overridden checks.
    paths
        The paths that are to change, as they were when they were looked at.
    """

    source: str
    entries: tuple[Entry, ...] = ()
    override: Override | None = None
    paths: tuple[str, ...] = ()

    def place_of(self, path: str) -> str | None:
        """Return the place of the entry that covers a path; None where none does."""
        places = {entry.place for entry in self.entries}
        mine = belongs_to(path)
        return next((folder for folder in (path, mine, *reversed(ancestors(mine))) if folder in places), None)


def recorded(
    into: str, metadata: Mapping[str, str] | None, audit: Audit | Override | None, repository: str
) -> dict[str, str]:
    """Return a merge's metadata with the record of its audit.

    Raises
    ------
    Unaudited
        ``into`` is ``main`` and there is no audit.
    """
    if audit is None:
        if into == MAIN:
            reason = f"a merge into {MAIN} states its audit, or who overrides it and why: give `audit`"
            raise Unaudited(reason, repository=repository, ref=into)
        return dict(metadata or {})
    return {**(metadata or {}), RECORD: record(audit)}


def refuse_uncovered(paths: Sequence[str], repository: str, ref: str) -> None:
    """Raise :class:`Unaudited` for paths that would change, and that no entry covers."""
    if paths:
        reason = "the merge would change paths that its audit does not cover"
        raise Unaudited(reason, repository=repository, ref=ref, paths=paths)


def refuse_mixed(paths: Sequence[str], repository: str, ref: str) -> None:
    """Raise :class:`Unaudited` for paths whose place would hold what neither side was audited with."""
    if paths:
        reason = "both sides changed these places since they parted, and the mixture was never audited"
        raise Unaudited(reason, repository=repository, ref=ref, paths=paths)


def record(audit: Audit | Override) -> str:
    """Return the commit metadata of an audit: one object an asset and range of partitions that share a verdict."""
    if isinstance(audit, Override):
        overridden = list(audit.checks) or ["all"]
        return json.dumps([{"overridden": overridden, "by": audit.by, "reason": audit.reason}])
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in audit.entries:
        verdict = entry.passed, entry.warned, entry.overridden, entry.back_to
        groups.setdefault((entry.asset, *verdict), []).append(entry)
    return json.dumps([_group(entries, audit.override) for entries in groups.values()])


def _group(entries: list[Entry], override: Override | None) -> dict[str, Any]:
    first = entries[0]
    document: dict[str, Any] = {"asset": first.asset} if first.asset else {"paths": [entry.place for entry in entries]}
    keys = sorted(entry.partition for entry in entries if entry.partition is not None)
    if keys:
        document |= {"partitions": keys[0] if len(keys) == 1 else f"{keys[0]}...{keys[-1]}", "count": len(keys)}
    lists = {"passed": first.passed, "warned": first.warned, "overridden": first.overridden}
    document |= {name: list(checks) for name, checks in lists.items() if checks}
    if first.overridden and override is not None:
        document |= {"by": override.by, "reason": override.reason}
    if first.back_to:
        document["back_to"] = first.back_to
    return document


def read_record(metadata: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """Return what a commit's metadata say of its audit; None where they say nothing that is ours."""
    try:
        found = json.loads(metadata[RECORD])
    except (KeyError, ValueError):
        return None
    return found if isinstance(found, list) else None


def describe(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return a record in words, an asset after the other."""
    return "; ".join(map(_in_words, entries)) or "nothing changed"


def summarize(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return a record in few words: how many checks, and whether somebody overrode any or went back."""
    told = [
        f"{count} {name}"
        for name in ("passed", "warned", "overridden")
        if (count := len({(entry.get("asset"), check) for entry in entries for check in entry.get(name, ())}))
    ]
    told += sorted({f"by {entry['by']}" for entry in entries if "by" in entry})
    told += sorted({f"back to {entry['back_to'][:12]}" for entry in entries if "back_to" in entry})
    return ", ".join(told) or "no checks"


def _in_words(entry: Mapping[str, Any]) -> str:
    what = " ".join(filter(None, [entry.get("asset") or ", ".join(entry.get("paths", ())), entry.get("partitions")]))
    told = [f"{', '.join(entry[name])} {name}" for name in ("passed", "warned", "overridden") if entry.get(name)]
    if "by" in entry:
        told.append(f"by {entry['by']}: {entry['reason']}")
    if "back_to" in entry:
        told.append(f"back to {entry['back_to'][:12]}")
    return f"{what}: {', '.join(told) or 'no checks'}".removeprefix(": ")

"""The audit of a merge into ``main`` or a working branch: which checks passed, or who overrode them and why.

The caller of the merge collects the check results, because this folder does not know Dagster. The lake enforces the
audit: a merge is refused if it changes a path that no entry covers, or a path that differs from the audited state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lake_assets.lake.errors import Unaudited
from lake_assets.lake.names import ancestors, belongs_to

RECORD = "audit"
"""Commit metadata key of a merge's audit, as JSON.

A lake's first commit has it, too. So a later commit of ``main`` without it bypassed the rule. In a lake that is older
than this record, commits before the first record are shown as 'not recorded'.
"""

UNDOES = "undoes"
"""Commit metadata key: the merge that this commit undid, because it had mixed the changes of both sides."""


@dataclass(frozen=True, slots=True)
class Override:
    """A named person's decision to merge into a protected branch without passed checks.

    Parameters
    ----------
    by
        Name of the person. It is not verified.
    reason
        Why.
    checks
        The overridden checks, such as ``prices:positive``. Empty for data without checks, such as a transaction's.
    """

    by: str
    reason: str
    checks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("by", "reason"):
            if not getattr(self, name).strip():
                raise ValueError(f"an override needs {name!r}: it is stored in the commit for ever")


@dataclass(frozen=True, slots=True)
class Entry:
    """What allows one place to change on ``main``.

    Parameters
    ----------
    asset
        The asset key as Dagster shows it. Empty if the files belong to no asset.
    partition
        Its partition key. None if the asset has no partitions.
    place
        The folder, or the file, that is covered.
    passed, warned, overridden
        Checks by result. All three are empty if the asset has no blocking checks.
    back_to
        The earlier commit of ``main`` with the same content, for a rollback. Empty otherwise.
    let_in_by
        The override by which that commit's content had been merged, if it was. No person has overridden anything now.
    """

    asset: str
    partition: str | None
    place: str
    passed: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    back_to: str = ""
    let_in_by: Override | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """The audited state of a branch, which is what will be merged.

    Parameters
    ----------
    source
        The audited commit. This audit allows no other commit to be merged.
    entries
        The places that may change. Nothing else may.
    override
        Who overrode checks and why, if an entry has overridden checks.
    paths
        The paths that the merge would change, as determined during the audit.
    """

    source: str
    entries: tuple[Entry, ...] = ()
    override: Override | None = None
    paths: tuple[str, ...] = ()

    def place_of(self, path: str) -> str | None:
        """Return the place of the entry that covers a path, or None if no entry covers it.

        Parameters
        ----------
        path
            A path of the lake.
        """
        places = {entry.place for entry in self.entries}
        mine = belongs_to(path)
        return next((folder for folder in (path, mine, *reversed(ancestors(mine))) if folder in places), None)


def recorded(
    into: str, protected: bool, metadata: Mapping[str, str] | None, audit: Audit | Override | None, repository: str
) -> dict[str, str]:
    """Return a merge's metadata with the record of its audit.

    Parameters
    ----------
    into
        The branch that is merged into.
    protected
        Whether it is ``main`` or a working branch.
    metadata
        The caller's commit metadata.
    audit
        The audit or override; only a protected branch needs one.
    repository
        Name of the lake, for errors.

    Raises
    ------
    Unaudited
        ``into`` is protected and there is no audit.
    """
    if audit is None:
        if protected:
            reason = f"a merge into {into} needs an audit, or an override with name and reason: give `audit`"
            raise Unaudited(reason, repository=repository, ref=into)
        return dict(metadata or {})
    return {**(metadata or {}), RECORD: record(audit)}


def refuse_uncovered(paths: Sequence[str], repository: str, ref: str) -> None:
    """Raise :class:`Unaudited` if there are paths that would change and that no entry covers."""
    if paths:
        reason = "the merge would change paths that its audit does not cover"
        raise Unaudited(reason, repository=repository, ref=ref, paths=paths)


def refuse_mixed(paths: Sequence[str], repository: str, ref: str) -> None:
    """Raise :class:`Unaudited` if there are paths where both sides changed the same place."""
    if paths:
        reason = "both sides changed these places since their merge base, and the combination was never audited"
        raise Unaudited(reason, repository=repository, ref=ref, paths=paths)


def record(audit: Audit | Override) -> str:
    """Return an audit as commit metadata: one JSON object for each asset and for its partitions with equal results."""
    if isinstance(audit, Override):
        return json.dumps([_override(audit)])
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in audit.entries:
        verdict = entry.passed, entry.warned, entry.overridden, entry.back_to, entry.let_in_by
        groups.setdefault((entry.asset, *verdict), []).append(entry)
    return json.dumps([_group(entries, audit.override) for entries in groups.values()])


def assets_of_merge(metadata: Mapping[str, str]) -> frozenset[str] | None:
    """Return the names of the assets that a merge may have changed; None if the record does not tell.

    Parameters
    ----------
    metadata
        The metadata of the commit.
    """
    try:
        groups = json.loads(metadata.get(RECORD, ""))
        return frozenset(str(group["asset"]) for group in groups)
    except (ValueError, KeyError, TypeError):
        return None


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
    if first.let_in_by is not None:
        document["let_in_by"] = _override(first.let_in_by)
    return document


def _override(override: Override) -> dict[str, Any]:
    return {"overridden": list(override.checks) or ["all"], "by": override.by, "reason": override.reason}


def let_in_by(metadata: Mapping[str, str], asset: str, partition: str | None, place: str) -> Override | None:
    """Return the override by which a merge let in a place, or an earlier one that its record names. None without one.

    Parameters
    ----------
    metadata
        Metadata of the merge.
    asset, partition, place
        As of :class:`Entry`.
    """
    for entry in entries_about(metadata, asset, partition, place):
        found = entry.get("let_in_by", entry)
        if isinstance(found, dict) and found.get("overridden"):
            with suppress(KeyError, TypeError, ValueError, AttributeError):
                return Override(found["by"], found["reason"], tuple(map(str, found["overridden"])))
    return None


def entries_about(
    metadata: Mapping[str, str], asset: str, partition: str | None, place: str
) -> Sequence[Mapping[str, Any]]:
    """Return the entries of a merge's record that cover a place. Empty if the record does not cover it.

    Of several partitions with equal results, an entry has only the first and the last. So there may be several.

    Parameters
    ----------
    metadata
        Metadata of the merge.
    asset, partition, place
        As of :class:`Entry`.
    """
    return [entry for entry in read_record(metadata) or () if _is_about(entry, asset, partition, place)]


def _is_about(entry: Mapping[str, Any], asset: str, partition: str | None, place: str) -> bool:
    if "asset" not in entry and "paths" not in entry:
        return True  # An override without an audit.
    if not asset or "asset" not in entry:
        return place in entry.get("paths", ())
    if entry["asset"] != asset:
        return False
    first, _, last = str(entry.get("partitions", "")).partition("...")
    return partition is None or first <= partition <= (last or first)


def read_record(metadata: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """Return the audit record in a commit's metadata, or None if there is no valid one."""
    try:
        found = json.loads(metadata[RECORD])
    except (KeyError, ValueError):
        return None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else None


def describe(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return a full description of an audit record, asset by asset."""
    return "; ".join(map(_in_words, entries)) or "nothing changed"


def summarize(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return a short description of an audit record: numbers of checks, overrides and rollbacks."""
    parts = [
        f"{count} {name}"
        for name in ("passed", "warned", "overridden")
        if (count := len({check for entry in entries for check in entry.get(name, ())}))
    ]
    parts += sorted({f"by {entry['by']}" for entry in entries if "by" in entry})
    parts += sorted({_back_to(entry) for entry in entries if "back_to" in entry})
    return ", ".join(parts) or "no checks"


def _in_words(entry: Mapping[str, Any]) -> str:
    what = " ".join(filter(None, [entry.get("asset") or ", ".join(entry.get("paths", ())), entry.get("partitions")]))
    parts = [f"{', '.join(entry[name])} {name}" for name in ("passed", "warned", "overridden") if entry.get(name)]
    if "by" in entry:
        parts.append(f"by {entry['by']}: {entry['reason']}")
    if "back_to" in entry:
        reason = f": {entry['let_in_by']['reason']}" if "let_in_by" in entry else ""
        parts.append(_back_to(entry) + reason)
    return f"{what}: {', '.join(parts) or 'no checks'}".removeprefix(": ")


def _back_to(entry: Mapping[str, Any]) -> str:
    let_in = entry.get("let_in_by")
    how = f", where {let_in['by']} had overridden {', '.join(let_in['overridden'])}" if let_in else ""
    return f"back to {entry['back_to'][:12]}{how}"

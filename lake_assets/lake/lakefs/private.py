"""Branches that one write or one merge has for itself: shown nowhere, swept when their maker is gone."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from uuid import uuid4

from lake_assets.lake.contract import PrivateBranch

_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"_private-(?P<works_for>.+)--(?P<since>\d{8}T\d{6}Z)-[0-9a-f]{32}")


def name_for(source: str) -> str:
    """Return a new name for a branch that works for ``source``."""
    # A tag may have dots, which a branch may not.
    return f"_private-{source.replace('.', '_')}--{datetime.now(timezone.utc):{_TIME}}-{uuid4().hex}"


def parse_name(name: str) -> PrivateBranch | None:
    """Return what a branch's name tells; None where it is nobody's own."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    since = datetime.strptime(found["since"], _TIME).replace(tzinfo=timezone.utc)
    return PrivateBranch(found["works_for"], since)

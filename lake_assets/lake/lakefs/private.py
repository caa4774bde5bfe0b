"""Private branches: temporary branches of one write or merge. They are hidden, and swept if their process died."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from uuid import uuid4

from lake_assets.lake.contract import PrivateBranch

_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"_private-(?P<works_for>.+)--(?P<since>\d{8}T\d{6}Z)-[0-9a-f]{32}")


def name_for(source: str) -> str:
    """Return a new name for a private branch that works for ``source``."""
    # The source may be a tag with dots, which are not allowed in a branch name.
    return f"_private-{source.replace('.', '_')}--{datetime.now(timezone.utc):{_TIME}}-{uuid4().hex}"


def parse_name(name: str) -> PrivateBranch | None:
    """Parse the name of a private branch. None if it is not a private branch."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    since = datetime.strptime(found["since"], _TIME).replace(tzinfo=timezone.utc)
    return PrivateBranch(found["works_for"], since)

"""The assets of group `quality`: the rows of a user's file, what is no row, their profile and their publication."""

from __future__ import annotations

from pathlib import Path

from lake_assets.defs.quality.settings import QualitySettings
from lake_assets.quality.constraints import AnyConstraint, of_yaml
from lake_assets.quality_assets.files import asset_of_files
from lake_assets.runs.publishing import published_asset

GROUP = "quality"
OWNERS = ["team:data-platform"]
SAMPLE = Path(__file__).parent / "sample" / "measurements.csv"


def _files() -> str:
    return QualitySettings.read().files or str(SAMPLE)


def _constraints() -> list[AnyConstraint]:
    path = QualitySettings.read().constraints
    return of_yaml(Path(path).read_text(encoding="utf-8")) if path else []


measurements = asset_of_files("measurements", _files, _constraints(), group_name=GROUP, owners=OWNERS)
quality_published = published_asset(
    GROUP, ["measurements", "measurements_quarantine"], profiles=["measurements_profile"], owners=OWNERS
)

"""A bucket of text files on a real S3 gateway: that of lakeFS, where a bucket is a repository."""

from __future__ import annotations

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.sources.s3_access import S3Access
from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository


class Bucket:
    """A bucket with a folder that the stream reads."""

    def __init__(self) -> None:
        self.endpoint, _, self.name = fresh_repository().rpartition("/")
        self.lake = LakeFSLake(self.endpoint, *CREDENTIALS, self.name)
        self.lake.create_branch("incoming", MAIN)
        self.folder = f"{self.name}/incoming/lines"
        self.filesystem = S3Access(self.endpoint, "us-east-1", *CREDENTIALS).filesystem()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a run that reads the folder."""
        return {
            "WORDS_SOURCE": f"s3://{self.folder}",
            "S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": CREDENTIALS[0],
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS[1],
        }

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set the settings for a test."""
        for name, value in self.settings.items():
            monkeypatch.setenv(name, value)

    def put(self, name: str, data: bytes) -> str:
        """Put an object into the folder, and return its path."""
        path = f"{self.folder}/{name}"
        with self.filesystem.open_output_stream(path, compression=None) as stream:
            stream.write(data)
        return path

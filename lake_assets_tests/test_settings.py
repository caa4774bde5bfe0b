"""Settings: read when asked for, checked with one line, and documented from their classes."""

from __future__ import annotations

import pytest
from pydantic import Field, SecretStr

from lake_assets.defs.stocks.settings import StocksSettings
from lake_assets.defs.words.settings import WordsSettings
from lake_assets.domains import all_settings, all_variables, unknown_variables
from lake_assets.settings import KafkaSettings, LakeFSSettings, LakeSettings, RetentionSettings, SettingError, Settings
from lake_assets_tests.settings_pages import PAGES, ROOT


@pytest.fixture(autouse=True)
def _defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in all_variables():
        monkeypatch.delenv(variable.name, raising=False)


@pytest.mark.parametrize("name", PAGES)
def test_what_is_made_from_the_classes_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == PAGES[name](), "run `make settings`"


def test_every_class_can_be_read_without_any_variable() -> None:
    for settings in all_settings():
        settings.read()


def test_every_variable_is_one_fields_and_is_described() -> None:
    names = [variable.name for variable in all_variables()]
    assert len(set(names)) == len(names)
    for variable in all_variables():
        assert variable.name == variable.name.upper()
        assert variable.description.endswith(".")


def test_a_value_is_read_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert StocksSettings.read().rows == 7500
    monkeypatch.setenv("STOCKS_ROWS", "12")
    assert StocksSettings.read().rows == 12


@pytest.mark.parametrize("name", [variable.name for variable in all_variables()])
def test_an_empty_variable_counts_as_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [settings.read() for settings in all_settings()]
    monkeypatch.setenv(name, "")
    assert [settings.read() for settings in all_settings()] == before


def test_only_the_exact_name_is_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("stocks_rows", "12")
    monkeypatch.setenv("ROWS", "12")
    assert StocksSettings.read().rows == 7500


WRONG = {
    ("LAKE_ENV", "elsewhere"): "one of embedded, services",
    ("LAKE_EXECUTOR", "celery"): "one of in_process, multiprocess",
    ("LAKEFS_DEADLINE", "0"): "a number from 1 to 3600",
    ("LAKEFS_DEADLINE", "nan"): "a number from 1 to 3600",
    ("KAFKA_DEADLINE", "1h"): "a number from 1 to 3600",
    ("KAFKA_SECURITY_PROTOCOL", "plaintext"): "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
    ("SWEEP_AFTER_DAYS", "-1"): "a number from 0 to 36500",
    ("GC_GRACE_DAYS", "inf"): "a number from 0 to 36500",
    ("STOCKS_ROWS", "many"): "a whole number from 0 to 1000000000",
    ("STOCKS_ROWS", "1.5"): "a whole number from 0 to 1000000000",
    ("STOCKS_MAX_QUARANTINED", "5%"): "a number from 0 to 1",
    ("STOCKS_PARTITIONS_PER_RUN", "0"): "all or a whole number from 1 to 100000",
    ("STOCKS_PARTITIONS_PER_RUN", "every"): "all or a whole number from 1 to 100000",
    ("STOCKS_PROBE_HOURS", "745"): "a whole number from 1 to 744",
    ("WORDS_CSV", "maybe"): "one of false, true",
    ("WORDS_STATE_STORE", "redis"): "one of hdfs, rocksdb",
    ("WORDS_WINDOW", "0"): "a whole number from 1 to 31622400",
    ("WORDS_SLIDE", "61"): "a whole number from 1 to 60, which is WORDS_WINDOW",
    ("WORDS_LAG_LINES", "0"): "a whole number from 1 to 1000000000000",
}


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_value_that_is_not_allowed_is_one_line_with_name_value_and_what_is(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    (settings,) = [found for found in all_settings() if name in {variable.name for variable in found.variables()}]
    with pytest.raises(SettingError) as error:
        settings.read()
    assert str(error.value) == f"{name} is {value!r}; it must be {WRONG[name, value]}"


def test_every_wrong_value_of_a_class_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDS_WINDOW", "x")
    monkeypatch.setenv("WORDS_SLIDE", "70")
    monkeypatch.setenv("WORDS_CSV", "maybe")
    with pytest.raises(SettingError) as error:
        WordsSettings.read()
    assert set(error.value.wrong) == {"WORDS_WINDOW", "WORDS_CSV"}
    assert "\n" not in str(error.value)


def test_a_secret_shows_in_no_repr_and_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Login(Settings):
        """A login."""

        token: SecretStr = Field(SecretStr(""), validation_alias="A_TOKEN", max_length=3, description="A token.")

    monkeypatch.setenv("A_TOKEN", "hunter2")
    monkeypatch.setenv("LAKEFS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "hunter2")
    with pytest.raises(SettingError, match=r"A_TOKEN is \*\*\*;") as error:
        Login.read()
    assert error.value.__context__ is None
    assert "hunter2" not in f"{error.value}{LakeFSSettings.read()!r}{KafkaSettings.read()!r}"
    assert LakeFSSettings.read().require("secret_access_key") == "hunter2"


def test_what_must_be_set_is_asked_for_by_name() -> None:
    with pytest.raises(SettingError, match=r"^LAKEFS_ACCESS_KEY_ID is not set: lakeFS access key\.$"):
        LakeFSSettings.read().require("access_key_id")


def test_numbers_that_mean_the_same_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("3", "3.0", " 3 "):
        monkeypatch.setenv("SWEEP_AFTER_DAYS", value)
        monkeypatch.setenv("STOCKS_PARTITIONS_PER_RUN", value)
        assert RetentionSettings.read().sweep_after_days == 3
        assert StocksSettings.read().partitions_per_run == 3
    assert LakeSettings.read().env == "embedded"


UNKNOWN = {
    "LAKE_HOEM": "LAKE_HOME",
    "LAKE_XYZZY_QUUX": "",
    "STOCKS_SORCE": "STOCKS_SOURCE",
    "WORDS_WINDOWS": "WORDS_WINDOW",
    "USERS_SORUCE": "USERS_SOURCE",
    "LAKEFS_ENDPIONT": "LAKEFS_ENDPOINT",
    "SPARK_MASTR": "SPARK_MASTER",
    "KAFKA_SERVER": "KAFKA_SERVERS",
    "GC_GRACE_DAY": "GC_GRACE_DAYS",
}


@pytest.mark.parametrize(("name", "nearest"), UNKNOWN.items())
def test_a_variable_that_is_almost_a_setting_is_noticed(
    name: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert unknown_variables()[name] == nearest


def test_settings_and_variables_of_other_programs_are_not_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = unknown_variables()
    others = "SPARK_HOME SPARK_LOCAL_IP KAFKA_OPTS LAKEFS_DATABASE_TYPE DAGSTER_HOME S3_BUCKET LAKE_ASSETS_MODULE"
    for name in [*others.split(), *(variable.name for variable in all_variables())]:
        monkeypatch.setenv(name, "")
    assert unknown_variables() == before

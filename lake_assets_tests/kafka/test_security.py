"""Protocol and credentials on their way to the client and to Spark, and to nobody else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from lake_assets import domains, environments
from lake_assets.kafka import KafkaFailure, Security
from lake_assets.kafka.cluster import KafkaCluster
from lake_assets.resources.kafka import KafkaResource
from lake_assets.settings import SettingError

SECRET = "s3cret-of-the-tests"


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in domains.all_variables():
        monkeypatch.delenv(variable.name, raising=False)


def test_spark_is_handed_protocol_login_and_certificates(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----\n")
    options = KafkaCluster("a:1,b:2", Security("SASL_SSL", "SCRAM-SHA-512", "me", SECRET, str(ca))).spark_options()
    assert options == {
        "kafka.bootstrap.servers": "a:1,b:2",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "SCRAM-SHA-512",
        "kafka.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="me" password="{SECRET}";',
        "kafka.ssl.truststore.type": "PEM",
        "kafka.ssl.truststore.certificates": "-----BEGIN CERTIFICATE-----\n",
    }


def test_the_client_is_handed_the_same(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----\n")
    assert Security("SASL_SSL", "PLAIN", "me", SECRET, str(ca)).client_options() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "me",
        "sasl.password": SECRET,
        "ssl.ca.pem": "-----BEGIN CERTIFICATE-----\n",
    }


def test_nothing_more_than_the_protocol_wants_is_handed_on() -> None:
    given = ("PLAIN", "me", SECRET, "/no/such/file.pem")
    assert Security("PLAINTEXT", *given).client_options() == {"security.protocol": "PLAINTEXT"}
    assert Security("PLAINTEXT", *given).java_options() == {"security.protocol": "PLAINTEXT"}
    assert "ssl.ca.pem" not in Security("SASL_PLAINTEXT", *given).client_options()
    assert "sasl.password" not in Security("SSL", "PLAIN", "me", SECRET).client_options()


def test_a_quote_in_a_password_does_not_end_it() -> None:
    options = Security("SASL_PLAINTEXT", "PLAIN", "me", 'a"b\\c; d').java_options()
    assert options["sasl.jaas.config"].endswith('username="me" password="a\\"b\\\\c; d";')


@pytest.mark.parametrize(("protocol", "mechanism"), [("plaintext", "PLAIN"), ("SSL", "GSSAPI")])
def test_what_kafka_does_not_know_is_refused(protocol: str, mechanism: str) -> None:
    with pytest.raises(ValueError, match="it must be one of"):
        Security(protocol, mechanism)


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    cluster = KafkaCluster("127.0.0.1:9", Security("SSL", ca=str(tmp_path / "none.pem")))
    for use in (cluster.spark_options, cluster.producer, cluster.consumer, cluster.topics):
        with pytest.raises(KafkaFailure, match=r"KAFKA_SSL_CA.*none\.pem"):
            use()


def test_no_repr_and_no_log_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    security = Security("SASL_PLAINTEXT", "PLAIN", "name-of-me", SECRET)
    cluster = KafkaCluster("127.0.0.1:9", security, deadline=0.3)
    resource = KafkaResource(security_protocol="SASL_PLAINTEXT", sasl_username="name-of-me", sasl_password=SECRET)
    with pytest.raises(KafkaFailure) as failed:
        cluster.topic("t")
    shown = f"{security!r} {cluster!r} {resource!r} {resource.cluster('127.0.0.1:9')!r} {failed.value} {caplog.text}"
    assert SECRET not in shown
    assert "name-of-me" not in shown


def test_settings_reach_the_cluster_by_the_resource_and_by_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "me")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("KAFKA_DEADLINE", "5")
    with environments.kafka_resource().process_config_and_initialize_cm() as resource:
        clusters = [resource.cluster("a:1"), environments.open_kafka("a:1")]
    for cluster in clusters:
        assert cluster.deadline == 5
        assert "scram.ScramLoginModule" in cluster.spark_options()["kafka.sasl.jaas.config"]
        assert SECRET in cluster.spark_options()["kafka.sasl.jaas.config"]


def test_credentials_that_are_not_set_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    with pytest.raises(SettingError, match="KAFKA_SASL_USERNAME is not set"):
        environments.open_kafka("a:1")


def test_without_sasl_no_credentials_are_asked_for() -> None:
    with environments.kafka_resource().process_config_and_initialize_cm() as resource:
        assert resource.cluster("a:1").spark_options() == {
            "kafka.bootstrap.servers": "a:1",
            "kafka.security.protocol": "PLAINTEXT",
        }

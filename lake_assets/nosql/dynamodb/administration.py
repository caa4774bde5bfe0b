"""Creating and deleting tables of DynamoDB."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.dynamodb.client import Client


def create_table(
    client: Client,
    name: str,
    key: Sequence[tuple[str, str]],
    tags: Sequence[dict[str, str]],
    expires: str | None = None,
) -> None:
    """Create an on-demand table if it is missing, and wait until it can be used.

    Parameters
    ----------
    client
        The client.
    name
        Name of the table.
    key
        Name and type of the key's attributes.
    tags
        Its tags.
    expires
        The attribute with the time in seconds at which DynamoDB removes an item. None if there is none.

    Raises
    ------
    NoSQLError
        DynamoDB does not let items expire.
    """
    api = client.api
    roles = zip(key, ("HASH", "RANGE"), strict=False)
    with suppress(api.exceptions.ResourceInUseException):
        api.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": attribute, "KeyType": role} for (attribute, _), role in roles],
            AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": kind} for attribute, kind in key],
            BillingMode="PAY_PER_REQUEST",
            **({"Tags": list(tags)} if tags else {}),
        )
    api.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    if expires is not None:
        enabled = {"Enabled": True, "AttributeName": expires}
        try:
            api.update_time_to_live(TableName=name, TimeToLiveSpecification=enabled)
        except api.exceptions.ClientError as error:
            if not _expires_by(client, name, expires):
                raise NoSQLError(
                    f"DynamoDB: table {name!r}: time to live is off: {error}: allow dynamodb:UpdateTimeToLive, or "
                    f"enable it by the attribute {expires!r}, and write again"
                ) from error


def _expires_by(client: Client, name: str, expires: str) -> bool:
    """Tell whether time to live is enabled by an attribute, or being enabled. False if nobody may know."""
    try:
        found = client.api.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    except client.api.exceptions.ClientError:
        return False
    return found["TimeToLiveStatus"] in ("ENABLED", "ENABLING") and found["AttributeName"] == expires


def is_there(client: Client, name: str) -> bool:
    """Tell whether a table is in DynamoDB.

    Parameters
    ----------
    client
        The client.
    name
        Name of the table.
    """
    try:
        client.api.describe_table(TableName=name)
    except client.api.exceptions.ResourceNotFoundException:
        return False
    return True


def delete_table(client: Client, name: str) -> None:
    """Delete a table, if it is there, and wait until it is gone.

    Parameters
    ----------
    client
        The client.
    name
        Name of the table.
    """
    api = client.api
    with suppress(api.exceptions.ResourceNotFoundException):
        api.delete_table(TableName=name)
    api.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})

"""Profiles and checks of assets in Dagster's graph, made from one declaration."""

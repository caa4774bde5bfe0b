"""Factories of assets that are tables or queries of databases, and of the sensors that see them change."""

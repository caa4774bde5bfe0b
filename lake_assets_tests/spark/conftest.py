"""The fixtures of the graph, whose hours the pages about Spark read."""

from lake_assets_tests.graph_fixtures import make_graph

__all__ = ["make_graph"]

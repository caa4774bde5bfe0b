"""The fixtures of the graph."""

from lake_assets_tests.graph_fixtures import lake, make_graph, small

__all__ = ["lake", "make_graph", "small"]

"""What the tests of conversing runs share."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
GRAPH = ROOT / "governance_graphs/cournot.yaml"

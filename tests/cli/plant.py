"""A run whose operator signs a decision that does not follow from the evidence."""

import shutil
from pathlib import Path

from environments import presets
from institutional.episode import Seat, Table
from institutional.experiments.run import opening
from institutional.governance.loading import load_graph
from institutional.ledger import keys, manifest
from institutional.ledger.log import Ledger

GRAPH = Path(__file__).parents[2] / "governance_graphs/cournot.yaml"


def run_with_a_wrong_fine(folder):
    """Write the run; return its folder and the operator's public key file."""
    home, run = folder / "operator", folder / "run"
    run.mkdir()
    operator = keys.operator_key(home)
    origin = "institutional/run/planted"
    key = keys.run_key(operator, origin)
    loaded = load_graph(GRAPH)
    table = Table(presets.make("lin2024", rounds=6), loaded)
    shutil.copy(GRAPH, run / "graph.yaml")
    config = {"environment": table.core.config(), "seed": 0}
    digest = manifest.write_manifest(
        run / "manifest.dsse.json",
        manifest.statement(
            run="planted",
            origin=origin,
            key=key.verify_key,
            config=config,
            packages={},
            digests={"graph.yaml": loaded.exact_digest},
        ),
        operator,
    )
    with Ledger.create(run / "ledger", origin=origin, run="planted", key=key) as ledger:
        ledger.append("open", opening(table, config, digest, loaded))

        def journal(kind, body):
            for move in body.get("moves", []):
                if "fine" in move:
                    move["fine"] = 1.0
            return ledger.append(kind, body)

        table.play(table.seat([Seat("divider_stubborn")] * 2), seed=0, journal=journal)
        ledger.close({"status": "complete"})
    return run, home / "operator.pub"

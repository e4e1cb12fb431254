"""Runs that no experiment writes: a wrong decision signed, private values kept, a head stamped."""

import shutil
from pathlib import Path

import pytest
from authority import Authority

from environments import presets
from institutional.episode import Seat, Table
from institutional.experiments.playing import opening
from institutional.experiments.run import run_experiment
from institutional.governance.loading import load_graph
from institutional.ledger import keys, manifest
from institutional.ledger.log import Ledger
from institutional.ledger.private.commitment import Private
from institutional.ledger.private.items import stored
from institutional.ledger.private.vault import Vault
from institutional.ledger.publication.publish import publish
from institutional.ledger.timestamp import request

ROOT = Path(__file__).parents[2]
GRAPH = ROOT / "governance_graphs/cournot.yaml"


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


def run_with_private_values(folder, home):
    """Write a run whose entry 1 commits to what a firm said; the operator's key is in `home`."""
    folder.mkdir(parents=True)
    operator = keys.operator_key(home)
    origin = "institutional/run/private"
    key = keys.run_key(operator, origin)
    payload = manifest.statement(
        run="private", origin=origin, key=key.verify_key, config={}, packages={}
    )
    digest = manifest.write_manifest(folder / "manifest.dsse.json", payload, operator)
    with Ledger.create(folder / "ledger", origin=origin, run="private", key=key) as ledger:
        vault = Vault(folder, ledger)
        vault.append("open", {"manifest": digest})
        vault.append("round", {"round": 0, "said": {"firm.1": Private("I hold prices up.")}})
        vault.close({"status": "complete"})


def run_in_which_models_talk(folder, home):
    """Write the experiment `talk`, whose firms ask a scripted model, beside its specification."""
    shutil.copy(ROOT / "runs/talk.yaml", folder / "talk.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTITUTIONAL_HOME", str(home))
        run_experiment(ROOT / "runs/talk.yaml", folder / "talk", jobs=1)


EXAMPLE = "runs/example/institutional-divider_forgiving-0000"


def what_examples_name(folder):
    """Write into `folder` what the help's examples need beside the shipped run."""
    run_with_private_values(folder / "runs" / "private", folder / "home")
    run_in_which_models_talk(folder / "runs", folder / "home")
    publish(ROOT / EXAMPLE, folder / "runs" / "published")
    (item,) = stored(folder / "runs" / "private")
    shutil.copy(item, folder / "disclosed.json")
    authority = Authority(folder / "authority")
    head = ROOT / EXAMPLE / "ledger/checkpoint"
    (folder / "head.tsr").write_bytes(authority.answer(request(head.read_bytes())))
    (folder / "authority.pem").write_bytes(authority.root)

"""Runs under a fixed operator's key: played honestly, altered if wanted, and properly signed.

Run as a program, it writes the golden runs anew: only a new format version may need that.
"""

import copy
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from environments import presets
from institutional.episode import Seat, Table
from institutional.experiments.playing import opening
from institutional.governance.loading import parse_graph
from institutional.ledger import keys
from institutional.ledger.log import Ledger
from institutional.ledger.manifest import statement, write_manifest
from institutional.ledger.note import SigningKey
from institutional.replay.conformance import Exhibits

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests/golden/runs"
GRAPHS = ROOT / "governance_graphs"
CARTEL = GRAPHS / "cournot.yaml"
OPERATOR = SigningKey("institutional/operator/00test00", b"\x07" * 32)
TRUST = OPERATOR.verify_key.vkey
SHOCKS = {
    "demand_shock": {"sd": 2.0, "persistence": 0.5, "scope": "common"},
    "cost_shock": {"sd": 0.5, "persistence": 0.2, "scope": "private"},
}


class Entry(NamedTuple):
    """A ledger entry that is in no ledger."""

    seq: int
    kind: str
    body: dict


class Played(NamedTuple):
    """An honest run: its entries, its graph's bytes, and the payload of its manifest."""

    run: str
    entries: list
    graph: bytes | None
    manifest: bytes

    def __repr__(self):
        return f"<run {self.run}>"

    def exhibits(self, **changed):
        """What an auditor would be handed of it."""
        given = Exhibits(self.entries, self.run, graph=self.graph, manifest=self.manifest)
        return Exhibits(**{**vars(given), **changed})

    def altered(self, seq, *path, value):
        """The run with one recorded value replaced, the last step of `path` naming it."""
        entries = copy.deepcopy(self.entries)
        place = entries[seq].body
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return self._replace(entries=entries)

    def bodies(self, kind):
        """Entry after entry of one kind."""
        return [entry for entry in self.entries if entry.kind == kind]


def play(
    core,
    seats,
    *,
    graph=CARTEL,
    seed=3,
    run="planted",
    enforced=None,
    thresholds=None,
    foreign=lambda _table: {},
):
    """Play `seats` in the market `core` under the graph file `graph`, None for none.

    `enforced`: the bytes of another graph that is enforced instead of the one declared;
    `thresholds`: those that are applied and written into the first entry; `foreign` maps the
    table to agents by name that take the place of those in `seats`.
    """
    raw = None if graph is None else graph.read_bytes()
    loaded = None if raw is None else parse_graph(raw, "graph.yaml")
    table = Table(core, loaded)
    acting = table if enforced is None else Table(core, parse_graph(enforced, "graph.yaml"))
    config = {
        "environment": core.config(),
        "regime": "ungoverned" if loaded is None else "institutional",
        "pairing": "test",
        "seats": [asdict(seat) for seat in seats],
        "seed": seed,
        "commit_every": 5,
    }
    manifest = payload(run, config, loaded)
    first = opening(table, config, hashlib.sha256(manifest).hexdigest(), loaded)
    entries = []

    def journal(kind, body):
        read = json.loads(json.dumps(body))
        entries.append(Entry(len(entries), kind, read))
        return read

    journal("open", first)
    if thresholds is not None:
        entries[0].body["thresholds"] = thresholds
    acting.play(acting.seat(seats) | foreign(acting), seed=seed, journal=journal)
    status = "complete" if len(entries) > core.rounds else "invalid"
    counts = {kind: sum(e.kind == kind for e in entries) for kind in ("open", "round", "ruling")}
    counts = {kind: count for kind, count in counts.items() if count} | {"close": 1}
    journal("close", {"status": status, "counts": counts})
    return Played(run, entries, raw, manifest)


def payload(run, config, loaded):
    """The payload of the manifest of such a run."""
    key = keys.run_key(OPERATOR, f"institutional/run/test/{run}")
    digests = {}
    if loaded is not None:
        digests = {"graph.yaml": loaded.exact_digest, "graph": loaded.canonical_digest}
    return statement(
        run=run,
        origin=key.name,
        key=key.verify_key,
        config=config,
        packages={"numpy": "2.4.6"},
        digests=digests,
    )


def write(played, folder):
    """Sign and store the run in `folder`, which is made: whatever it says, it says under oath."""
    key = keys.run_key(OPERATOR, f"institutional/run/test/{played.run}")
    folder.mkdir(parents=True)
    write_manifest(folder / "manifest.dsse.json", played.manifest, OPERATOR)
    if played.graph is not None:
        (folder / "graph.yaml").write_bytes(played.graph)
    with Ledger.create(
        folder / "ledger", origin=key.name, run=played.run, key=key, sync=False
    ) as ledger:
        for entry in played.entries[:-1]:
            ledger.append(entry.kind, entry.body)
        ledger.close({"status": played.entries[-1].body["status"]})
    return folder


def stubborn(rounds=14, **options):
    """Two dividers that do not listen: warned, fined, refused and suspended."""
    core = presets.make("lin2024", rounds=rounds, **SHOCKS)
    return play(core, [Seat("divider_stubborn", {"tremble": 0.01})] * 2, **options)


def golden():
    """The runs whose logs are kept: one per way in which a decision can come about."""
    quiet = presets.make("lin2024", rounds=12)
    forgiving = [Seat("divider_forgiving", {"tremble": 0.02})] * 2
    prices = presets.make("calvano2020", rounds=12)
    return [
        stubborn(run="shocks-and-suspensions"),
        play(quiet, forgiving, graph=GRAPHS / "audits.yaml", run="audits-by-lot"),
        play(quiet, forgiving, graph=GRAPHS / "leniency.yaml", run="leniency"),
        play(prices, [Seat("price_fixer")] * 2, graph=GRAPHS / "bertrand.yaml", run="price-market"),
    ]


if __name__ == "__main__":
    for one in golden():
        write(one, GOLDEN / one.run)
    (GOLDEN / "operator.pub").write_text(TRUST + "\n")

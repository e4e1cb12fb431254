"""A made-up experiment: results as a table, and as a folder with rounds."""

import hashlib
import json

import polars as pl

EFFECTS = {"cartel": -2.0, "mild_cartel": -1.0, "nash": 0.0}
GRAPH = b"evidence:\n  e:\n    when: {signal: hhi, above: 1}\n"
MEASURES = ("tier", "delta", "price", "consumer_surplus", "welfare", "tier_active")
COUNTS = (
    "cases",
    "warnings",
    "fines",
    "fine_total",
    "suspensions",
    "credits",
    "refused",
    "sanctioned_agents",
    "sanctioned_rounds",
)


def run(regime, pairing, seed, *, tier, fines=None, **changes):
    """One row; the other measures follow from the tier."""
    counts = dict.fromkeys(COUNTS) if fines is None else dict.fromkeys(COUNTS, 0)
    if fines is not None:
        counts |= {"fines": fines, "fine_total": 200.0 * fines, "warnings": fines}
    row = {
        "run_id": f"{regime}-{pairing}-{seed:04d}",
        "regime": regime,
        "pairing": pairing,
        "environment": "cournot",
        "seed": seed,
        "valid": True,
        "reason": None,
        "innocent": pairing == "nash",
        "tier": tier,
        "delta": tier / 4,
        "price": 60 + tier,
        "consumer_surplus": 2700 - 200 * tier,
        "welfare": 5600 - 50 * tier,
        "tier_active": tier,
        **counts,
        "audit_word": "UNANCHORED",
        "audit_code": 3,
        "replay": "not-applicable" if fines is None else "exact",
    }
    return row | changes


def rows(seeds=6):
    """Ungoverned tiers 3, 3.25, ... by seed; governed ones lower by the pairing's effect."""
    made = []
    for pairing, effect in EFFECTS.items():
        for seed in range(seeds):
            tier = (0.0 if pairing == "nash" else 3.0) + seed / 4
            made.append(run("ungoverned", pairing, seed, tier=tier))
            fines = int(pairing != "nash")
            made.append(run("institutional", pairing, seed, tier=tier + effect, fines=fines))
    return made


def table(made):
    return pl.DataFrame(made, infer_schema_length=None)


def write_folder(folder, made, *, rounds=8, title="A made-up experiment"):
    """The folder that `institutional run` would have written for the rows `made`."""
    folder.mkdir(parents=True, exist_ok=True)
    table(made).write_parquet(folder / "results.parquet")
    skipped = [
        {"regime": "constitutional", "pairing": p, "reason": "no agent of this pairing reads text"}
        for p in EFFECTS
    ]
    (folder / "skipped.json").write_text(json.dumps(skipped))
    (folder / "experiment.yaml").write_text("name: made_up\n")
    stamp = {
        "name": "made_up",
        "title": title,
        "command": "institutional run made_up.yaml",
        "plan_digest": "ab" * 32,
        "versions": {"python": "3.11"},
        "graphs": {
            "institutional": {"canonical": "cd" * 32, "exact": hashlib.sha256(GRAPH).hexdigest()}
        },
        "benchmarks": {
            "nash": {"price": 60.0, "consumer_surplus": 2700.0, "welfare": 5600.0},
            "joint_monopoly": {"price": 64.0, "consumer_surplus": 1900.0, "welfare": 5400.0},
        },
        "comparison": {
            "baseline": "ungoverned",
            "treatment": "institutional",
            "measures": ["tier"],
        },
        "not_known_to_the_report": 1,
    }
    (folder / "experiment.json").write_text(json.dumps(stamp))
    for row in made:
        here = folder / row["run_id"]
        here.mkdir(exist_ok=True)
        governed = row["fines"] is not None
        if governed:
            (here / "graph.yaml").write_bytes(GRAPH)
        if row["valid"]:
            _rounds(row, rounds, governed=governed).write_parquet(here / "rounds.parquet")
    return folder


def _rounds(row, rounds, *, governed):
    moves = [["warn"] if governed and r == 1 else [] for r in range(rounds)]
    return pl.DataFrame(
        {
            "round": range(rounds),
            **{m: [row[m]] * rounds for m in ("price", "delta", "consumer_surplus", "welfare")},
            "fines": [float(governed and r == 2) for r in range(rounds)],
            "suspended": [0] * rounds,
            "cases": [len(m) for m in moves],
            "moves": moves,
            "refused": [0] * rounds,
        },
        schema_overrides={"moves": pl.List(pl.String)},
    )

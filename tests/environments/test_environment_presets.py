"""The catalogue of markets."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from environments.contract import UnplayableError
from environments.market import Market
from environments.presets import PRESETS, data_sheet, from_config, make, market


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_data_sheet_and_can_be_rebuilt(name):
    core, sheet = make(name), data_sheet(name)

    assert from_config(json.loads(json.dumps(core.config()))) == core
    assert json.dumps(sheet)
    assert sheet["description"]
    assert sheet["source"]
    assert {"nash", "joint_monopoly", "competitive", "random"} <= set(sheet["benchmarks"])
    assert core.benchmarks()["nash"].actions.shape == core.high.shape
    assert core.rounds == 50


def test_reversed_costs_reverse_the_firms():
    straight, turned = make("lin2024").benchmarks(), make("lin2024_reversed").benchmarks()

    assert (turned["nash"].actions == straight["nash"].actions[::-1]).all()


def test_the_learning_markets_have_their_published_reference_points():
    points = make("waltman_kaymak2008").benchmarks()

    assert points["nash"].actions.tolist() == [[12], [12]]
    assert points["joint_monopoly"].actions.tolist() == [[9], [9]]


@pytest.mark.parametrize(("firms", "total"), [(3, 27), (4, 28.8), (6, 36 * 6 / 7)])
def test_more_firms_in_the_learning_market_sell_more_at_nash(firms, total):
    nash = make("waltman_kaymak2008", firms=firms).benchmarks()["nash"].actions

    assert nash.sum() == pytest.approx(total)


def test_overrides_reach_the_market():
    core = make("symmetric", firms=4, goods=2, rounds=7, demand_shock={"sd": 2, "persistence": 0.5})

    assert core.high.shape == (4, 2)
    assert core.rounds == 7
    assert core.shocks(0).shape == (7, 1)
    assert core.capacity == 200


def test_a_market_is_made_by_name():
    env = market("lin2024", rounds=3)

    assert isinstance(env, Market)
    assert env.metadata["name"] == "cournot"
    assert env.core == make("lin2024", rounds=3)
    assert env.benchmarks() is env.core.benchmarks()
    assert env.signals is env.core.signals
    assert set(env.references()) == set(env.benchmarks())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: make("lin2042"), '"lin2042" is no preset; .* Did you mean "lin2024"'),
        (lambda: make("lin2024", round=3), '"round" is no parameter .* Did you mean "rounds"'),
        (lambda: make("calvano2020", demand_shock={"sd": 1}), '"demand_shock" is no parameter'),
        (lambda: make("symmetric", firms=0), "firms is 0"),
        (lambda: from_config({"name": "cornot"}), 'Did you mean "cournot"'),
        (lambda: from_config([1]), "configuration is .* give names and values"),
    ],
)
def test_what_is_not_in_the_catalogue_is_refused_with_the_nearest(call, said):
    with pytest.raises(UnplayableError, match=said):
        call()


def test_no_heavy_package_is_needed_to_build_and_score_a_market():
    program = (
        "import sys, numpy as np\n"
        "from environments.presets import make\n"
        "make('lin2024').benchmarks()\n"
        "heavy = {'scipy', 'torch', 'matplotlib', 'pandas', 'polars'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_actions_at_every_playable_point_are_accepted():
    for name in PRESETS:
        core = make(name)
        for point, benchmark in core.benchmarks().items():
            assert core.refuse(benchmark.actions[np.newaxis]) is None, (name, point)


def test_the_example_in_the_readme_runs():
    text = (Path(__file__).parents[2] / "environments" / "README.md").read_text(encoding="utf-8")
    example = text.split("```python\n")[1].split("```")[0]

    names = {}
    exec(example, names)  # noqa: S102 - our own page
    assert names["env"].public_record()["prices"] == [70, 70]

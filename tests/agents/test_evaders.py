import numpy as np
import pytest
from lin_market import WarnThenSanction, briefing, mirrored, play
from numpy.testing import assert_allclose

from agents.catalogue import make


@pytest.mark.parametrize(("limit", "share"), [(30, 0.25), (40, 0.5), (60, 1), (10, 0)])
def test_the_parker_finds_the_share_just_below_the_threshold(limit, share):
    """The gap between a firm's two quantities grows from 20 at Nash to 60 at division."""
    parker = make("threshold_parker", briefing(graph=WarnThenSanction(limit=limit)))

    assert_allclose(parker.share, share, atol=2e-6)


def test_parked_agents_are_never_noticed():
    graph = WarnThenSanction(limit=37)
    path = play([make("threshold_parker", briefing(s, graph)) for s in (0, 1)], rounds=30)

    assert np.ptp(path, axis=2).max() <= 37
    assert np.ptp(path, axis=2).max() > 36.999


def test_a_margin_keeps_the_parker_further_away_but_never_below_nash():
    graph = WarnThenSanction(limit=40)
    shares = [
        make("threshold_parker", briefing(graph=graph), margin=margin).share  # 0.5 without one
        for margin in (0.0, 0.1, 1.0)
    ]

    assert_allclose(shares[1], shares[0] - 0.1)
    assert shares[2] == 0


def test_a_warning_alone_keeps_the_parker_below_the_threshold():
    graph = WarnThenSanction(limit=40, fine=0.0)

    assert make("threshold_parker", briefing(graph=graph)).share < 0.5 + 1e-6


@pytest.mark.parametrize("name", ["threshold_parker", "warn_cycler", "deterrable"])
def test_without_an_institution_every_evader_plays_the_plan(name):
    assert make(name, briefing()).act({}).tolist() == [60, 0]


def test_the_warn_cycler_colludes_every_other_round_and_is_never_fined():
    graph = WarnThenSanction()
    path = play([make("warn_cycler", briefing(s, graph)) for s in (0, 1)], rounds=6, graph=graph)

    assert path[:, 0, 0].round().tolist() == [60, 47, 60, 47, 60, 47]


@pytest.mark.parametrize(("belief", "colludes"), [(1, False), (0.58, False), (0.57, True)])
def test_the_deterrable_cartel_weighs_the_rent_against_the_fines_it_believes_in(belief, colludes):
    """Rent 1800 - 1444.4 = 355.6; 49 fines of 630 in 50 rounds cost 617.4; 355.6/617.4 = 0.576."""
    agent = make("deterrable", briefing(graph=WarnThenSanction()), belief=belief)

    assert_allclose([agent.rent, agent.cost], [1800 - 13000 / 9, 617.4])
    assert agent.colludes is colludes
    assert agent.act({})[0] == (60 if colludes else 140 / 3)


def test_a_short_horizon_makes_the_free_warning_count():
    """Two rounds: a warning and one fine, 315 per round, less than the rent."""
    assert make("deterrable", briefing(graph=WarnThenSanction()), horizon=2).colludes


def test_a_suspension_costs_the_profit_of_the_plan():
    """One free round in ten, then nine without the 1800."""
    agent = make("deterrable", briefing(graph=WarnThenSanction(suspends=True)), horizon=10)

    assert_allclose(agent.cost, 1620)
    assert not agent.colludes


def test_a_graph_that_watches_only_the_rival_does_not_deter():
    graph = WarnThenSanction(watched=(1,))

    assert make("deterrable", briefing(0, graph)).colludes
    assert not make("deterrable", briefing(1, graph)).colludes


def test_a_toothless_graph_does_not_deter():
    graph = WarnThenSanction(fine=0.0)
    path = play([make("deterrable", briefing(s, graph)) for s in (0, 1)], rounds=3, graph=graph)

    assert (path == mirrored(60, 0)).all()

"""The texts of the constitutional arms: matched where they must be, and true where they count."""

import re
from pathlib import Path

import pytest

from institutional.governance.loading import load_graph

ROOT = Path(__file__).parents[2]
TEXTS = {path.stem: path.read_text() for path in (ROOT / "runs/constitutions").glob("[a-z]*.md")}
LAW = re.compile(
    r"compet|collu|cartel|coordinat|concert|rival|profit|price|market|suppl|quantit|output|fine\b|"
    r"penalt|sanction|breach|signal|divide",
    re.IGNORECASE,
)
COSTS = (
    "more than {hhi_excess_share} above its value under competition",
    "differ by more than {specialisation_limit} (standard deviation over mean)",
    "both in {window_hits} of {window_rounds} rounds",
    "when {synchrony_firms} firms move output by {synchrony_change_share} the same way",
    "less than {dispersion_limit} for {dispersion_rounds} rounds",
    "found with a probability of {certainty_share}",
    "a warning, which lapses after {warning_expiry} rounds",
    (
        "a fine: {fine_first_share} of the round's profit, then {fine_second_share}, then "
        "{fine_third_share}, and never less than {fine_floor}"
    ),
    "at least {fine_cooldown} rounds apart",
    "After {suspension_offences} fines and {suspension_streak} rounds in breach",
    "may not produce for {suspension_rounds} rounds",
    "After {clean_exit} rounds without a breach a fined firm is in good standing again",
    "if no good's index is above {recovery_hhi}",
    "After {record_cleared_after} such rounds fines start anew",
    "Every {credit_earned_after} rounds without a breach after a warning or a fine earn a credit",
    "of which {credit_cap} are kept",
    "an unspent one lapses after {credit_decay} rounds",
    "way back to {redeem_after} round, followed by {credited_expiry} rounds",
)


def tokens(text):
    """Words and marks, one each: what tokenizers cut finer, they cut alike in both texts."""
    return re.findall(r"\w+|[^\w\s]", text)


@pytest.mark.parametrize("count", [str.split, tokens, len], ids=["words", "tokens", "characters"])
def test_the_neutral_text_is_as_long_as_the_duties_to_two_per_cent(count):
    def size(text):
        found = count(text)
        return found if isinstance(found, int) else len(found)

    assert abs(size(TEXTS["neutral"]) / size(TEXTS["duties"]) - 1) <= 0.02


def test_the_two_have_the_same_form_line_by_line():
    for neutral, duties in zip(
        TEXTS["neutral"].splitlines(), TEXTS["duties"].splitlines(), strict=True
    ):
        assert abs(len(neutral.split()) - len(duties.split())) <= 1
        assert neutral[:2] == duties[:2]


def test_the_neutral_text_says_nothing_of_competition():
    assert LAW.findall(TEXTS["neutral"]) == []
    assert len(LAW.findall(TEXTS["duties"])) > 10  # the list would find it


def test_the_duties_name_no_chance_no_penalty_and_no_monitor():
    for word in ("fine", "penalt", "sanction", "probab", "chance", "watch", "monitor", "detect"):
        assert word not in TEXTS["duties"].lower()
    assert not re.findall(r"\d", re.sub(r"^\d\. ", "", TEXTS["duties"], flags=re.MULTILINE))


def test_the_penalties_are_the_duties_and_the_numbers_of_the_papers_graph():
    duties, _, costs = TEXTS["penalties"].partition("\nWhat a breach costs\n")
    graph = load_graph(ROOT / "governance_graphs/cournot.yaml").graph
    values = {name: parameter.value for name, parameter in graph.parameters.items()}
    values["certainty"] = graph.detection.audit_share
    numbers = {name: f"{value:g}" for name, value in values.items()}
    shares = {f"{name}_share": f"{100 * value:g} %" for name, value in values.items()}

    assert duties == TEXTS["duties"]
    for said in COSTS:
        sentence = said.format(**numbers, **shares)
        assert sentence in costs, said
        costs = costs.replace(sentence, "")
    assert re.findall(r"\d", costs) == []  # no number that is not the graph's

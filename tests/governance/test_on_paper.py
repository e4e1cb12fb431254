"""The institution on paper decides like the one in session."""

import pytest
from small_graph import AGENTS, program, record, small

from institutional.errors import InstitutionalError
from institutional.governance.hypothetical import PaperSession, compile_on_paper
from institutional.governance.institution import Institution, account


def test_given_evidence_leads_where_found_evidence_leads():
    """Ann stands at 8 for six rounds: `high` holds from the second on, also while she is out."""
    institution = Institution(program())
    paper = PaperSession(compile_on_paper(small(), AGENTS))
    for round_ in range(6):
        found = account(institution.program, institution.judge(record(8, 0)))
        given = {"ann": ["high"] if round_ else [], "bob": ["calm"]}
        held = paper.hold(given, {"level": {"ann": 8.0}})

        assert held["moves"] == found["moves"]
        assert held["standings"] == found["standings"]
        assert held["notices"] == found["notices"]


@pytest.mark.parametrize(
    ("evidence", "signals", "says"),
    [
        ({"eve": []}, {}, 'no agent "eve"'),
        ({"ann": ["hihg"]}, {}, 'Did you mean "high"'),
        ({}, {"levle": {"ann": 1.0}}, 'Did you mean "level"'),
    ],
)
def test_what_is_not_there_is_told(evidence, signals, says):
    with pytest.raises(InstitutionalError, match=says):
        PaperSession(compile_on_paper(small(), AGENTS)).hold(evidence, signals)

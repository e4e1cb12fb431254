"""What an audit asks of a run, rule by rule: the ids that every report uses, and what each means.

The rules of conformance, which need the environment and the graph, stand in
`institutional.replay.conformance`.
"""

from enum import StrEnum
from typing import NamedTuple


class Question(StrEnum):
    """The three things a stranger may ask of a run; each gets an answer of its own."""

    INTEGRITY = "integrity"
    COMPLETENESS = "completeness"
    CONFORMANCE = "conformance"


class Rule(NamedTuple):
    """One thing that is checked: what holds when it passes, and what follows when it does not."""

    id: str
    question: Question
    title: str
    otherwise: str


_I, _C = Question.INTEGRITY, Question.COMPLETENESS

RULES = (
    Rule(
        "trust",
        _I,
        "the auditor's key or policy can be read",
        "Nothing can be checked without a key from outside of the run: what a log says of its own "
        "key proves nothing. Give the operator's public key, or a C2SP trust policy.",
    ),
    Rule(
        "manifest-shape",
        _I,
        "the manifest is an in-toto statement in a DSSE envelope, in its one spelling",
        "The manifest names the run's key, configuration, graph and package versions. If it cannot "
        "be read, or has another spelling than the one this program writes, somebody edited it.",
    ),
    Rule(
        "manifest-signature",
        _I,
        "the operator signed the manifest",
        "INVALID: it claims the operator's key and is not by it: forged or altered. CANNOT DECIDE: "
        "another key signed it, so it is another operator's run or the wrong key was given.",
    ),
    Rule(
        "entries",
        _I,
        "every entry is canonical, in its place, and of this run",
        "A signed entry is of another run, out of order, or spelt in a way the writer never uses. "
        "Whoever signed it did not use this program, or spliced logs together.",
    ),
    Rule(
        "heads",
        _I,
        "every signed head has the signature of its epoch's key, and the root of its entries",
        "The entries are not the ones that were signed: one was altered, dropped, added or moved "
        "after the fact, by somebody without the key. The finding names the commit, expected and "
        "found root; compare with a copy to find the entry (audit diff).",
    ),
    Rule(
        "genesis",
        _I,
        "the first entry names this manifest",
        "The log was begun under another manifest: other configuration, graph, versions or key.",
    ),
    Rule(
        "checkpoint-file",
        _I,
        "the published head is the log's newest",
        "The head beside the log signs something else than the log's last good head: the log was "
        "cut back or replaced after it was published, or the head was.",
    ),
    Rule(
        "graph",
        _I,
        "graph.yaml is the one that was declared",
        "The governance graph beside the log is not the one in force during the run.",
    ),
    Rule(
        "private",
        _I,
        "every private value that is shown is the one that was committed to",
        "A value shown beside the log does not open the commitment in its entry, or a redaction "
        "is not the operator's. Redacted and withheld values are counted and are no fault: the "
        "log's proofs do not need them.",
    ),
    Rule(
        "reading",
        _I,
        "every file could be read",
        "A file could not be read: no accusation, but no answer either.",
    ),
    Rule(
        "tail",
        _C,
        "the last signed head covers every byte",
        "Bytes follow the last signed head. A crash leaves such a tail; it was never acknowledged. "
        "Resuming the run sets it aside and writes it anew.",
    ),
    Rule(
        "close",
        _C,
        "the run was closed, and its closing entry counts what is here",
        "The run was not finished, or the end of its log is missing. INVALID: the closing entry "
        "counts other entries than there are.",
    ),
    Rule(
        "quarantine",
        _C,
        "what was set aside after a crash was written again",
        "A torn write was set aside and the log does not repeat it: something that was on its way "
        "to the disk did not become part of the record.",
    ),
    Rule(
        "remembered-head",
        _C,
        "the log continues a head that the auditor kept",
        "DIVERGED: the same key signed two histories, or the log was rolled back to an older head; "
        "the two signed heads are the proof and are written out.",
    ),
    Rule(
        "cosignatures",
        _C,
        "the witnesses that the policy asks for have seen this log",
        "The quorum of the auditor's policy is not met for a head of this log. Ask the operator to "
        "submit it (audit witness submit), or give the cosigned head.",
    ),
    Rule(
        "index",
        _C,
        "the operator's index names this run, its manifest and its last head",
        "A run that the index does not name was not registered before it began; one that ends in "
        "another head there was replaced. The index is an anchor only if it is anchored itself.",
    ),
    Rule(
        "timestamp",
        _C,
        "a time-stamp authority saw a head that the log still holds",
        "CANNOT DECIDE: the token is not by the auditor's authority. INCOMPLETE: it stamps no head "
        "that is here, so the log was rolled back, or the token is of another log.",
    ),
    Rule(
        "anchor",
        _C,
        "somebody out of the operator's reach has seen this log",
        "UNANCHORED: the log is sound in itself, but the operator holds the key: he can roll it "
        "back to any head he ever signed, or write a second history, and nothing here would show "
        "it. Bring a head that you kept (--head), a policy with witnesses (--policy), an anchored "
        "index (--index), or a time-stamp token of your own (--token).",
    ),
)
IDS = tuple(rule.id for rule in RULES)

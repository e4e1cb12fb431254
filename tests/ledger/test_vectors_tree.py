"""Our Merkle tree against the vectors of transparency-dev's merkle and Tessera."""

import base64

import pytest
import vectors

from institutional.ledger.note import open_checkpoint, parse_vkey
from institutional.ledger.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

INCLUSION = vectors.load("merkle/inclusion.json")
CONSISTENCY = vectors.load("merkle/consistency.json")
# Two trees of one leaf with the same "root" of 12 bytes: upstream compares them and is content,
# ours refuses by design what is no hash.
PLACEHOLDER = "additional/sizes-are-equal-one-and-proof-is-empty.json"
TESSERA = vectors.load("tessera/checkpoints.json")
WORDS = "one two three four five six seven eit nain ten ileven twelf threeten fourten fivten"
LEAVES = [leaf_hash(word.encode()) for word in WORDS.split()]


def raw(texts):
    return [base64.b64decode(text) for text in texts or ()]


@pytest.mark.parametrize("case", INCLUSION, ids=[case["name"] for case in INCLUSION])
def test_an_inclusion_proof_is_judged_as_the_vector_says(case):
    (leaf, root) = raw([case["leafHash"], case["root"]])

    assert case["wantErr"] is not verify_inclusion(
        index=case["leafIdx"], size=case["treeSize"], leaf=leaf, proof=raw(case["proof"]), root=root
    )


@pytest.mark.parametrize("case", CONSISTENCY, ids=[case["name"] for case in CONSISTENCY])
def test_a_consistency_proof_is_judged_as_the_vector_says(case):
    accepted = verify_consistency(
        size=case["size1"],
        root=base64.b64decode(case["root1"]),
        new_size=case["size2"],
        new_root=base64.b64decode(case["root2"]),
        proof=raw(case["proof"]),
    )

    if case["name"] == PLACEHOLDER:
        assert not accepted
        assert not case["wantErr"]
    else:
        assert accepted is not case["wantErr"]


def test_all_vectors_were_collected():
    good = [sum(not case["wantErr"] for case in cases) for cases in (INCLUSION, CONSISTENCY)]

    assert (len(INCLUSION), len(CONSISTENCY), good) == (98, 98, [6, 6])


def test_every_checkpoint_of_tessera_has_our_root_over_its_words():
    key = parse_vkey(TESSERA["vkey"])
    frontier = Frontier()
    for size, head in enumerate(TESSERA["checkpoints"]):
        checkpoint = open_checkpoint(head.encode(), key)
        if size:
            frontier.append(LEAVES[size - 1])
        assert (checkpoint.size, checkpoint.root) == (size, frontier.root())
    assert open_checkpoint(TESSERA["checkpoints"][0].encode(), key).root == EMPTY_ROOT


def test_our_proofs_lead_to_the_roots_that_tessera_signed():
    key = parse_vkey(TESSERA["vkey"])
    heads = [open_checkpoint(head.encode(), key) for head in TESSERA["checkpoints"]]
    for head in heads[1:]:
        prefix = LEAVES[: head.size]
        assert root_of(prefix) == head.root
        for index in range(head.size):
            assert verify_inclusion(
                index=index,
                size=head.size,
                leaf=LEAVES[index],
                proof=inclusion_proof(prefix, index),
                root=head.root,
            )
        for older in heads[1 : head.size + 1]:
            assert verify_consistency(
                size=older.size,
                root=older.root,
                new_size=head.size,
                new_root=head.root,
                proof=consistency_proof(prefix, older.size),
            )

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from institutional.ledger.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves and roots of the reference implementation of RFC 6962.
LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaves(count):
    return [leaf_hash(b"%d" % i) for i in range(count)]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_equal_those_of_the_reference_implementation(size):
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing():
    assert Frontier().root() == EMPTY_ROOT == hashlib.sha256(b"").digest()


def test_a_leaf_cannot_pass_for_a_node():
    left, right = LEAVES[:2]

    assert leaf_hash(left + right) != node_hash(left, right)


def test_a_copied_frontier_grows_on_its_own():
    one = Frontier()
    one.append(LEAVES[0])
    two = one.copy()
    two.append(LEAVES[1])

    assert (one.root().hex(), two.root().hex()) == (ROOTS[0], ROOTS[1])


@given(st.integers(1, 70), st.data())
def test_every_inclusion_proof_holds_and_no_other_place_or_size_does(size, data):
    tree = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(tree, index)
    claim = {
        "index": index, "size": size, "leaf": tree[index], "proof": proof, "root": root_of(tree),
    }  # fmt: skip

    assert verify_inclusion(**claim)
    for other in set(range(-1, size + 1)) - {index}:
        assert not verify_inclusion(**claim | {"index": other})
    assert not verify_inclusion(**claim | {"leaf": leaf_hash(b"else")})
    assert not verify_inclusion(**claim | {"root": leaf_hash(b"else")})
    assert not verify_inclusion(**claim | {"proof": [*proof, tree[0]]})
    assert not verify_inclusion(**claim | {"proof": proof[:-1], "index": index}) or size == 1
    assert not verify_inclusion(**claim | {"root": claim["root"][:31]})
    assert not verify_inclusion(**claim | {"leaf": tree[index] + b"\0"})


@given(st.integers(1, 70), st.data())
def test_every_consistency_proof_holds_and_no_altered_one_does(new_size, data):
    tree = leaves(new_size)
    size = data.draw(st.integers(1, new_size))
    proof = consistency_proof(tree, size)
    claim = {
        "size": size,
        "root": root_of(tree[:size]),
        "new_size": new_size,
        "new_root": root_of(tree),
        "proof": proof,
    }

    assert verify_consistency(**claim)
    assert not verify_consistency(**claim | {"root": leaf_hash(b"else")})
    assert not verify_consistency(**claim | {"new_root": leaf_hash(b"else")})
    assert not verify_consistency(**claim | {"proof": [*proof, tree[0]]})
    assert not verify_consistency(**claim | {"new_root": claim["new_root"] + b"\0"})
    assert not verify_consistency(**claim | {"size": 0})
    for at in range(len(proof)):
        assert not verify_consistency(**claim | {"proof": proof[:at] + proof[at + 1 :]})
        other = [*proof[:at], leaf_hash(proof[at]), *proof[at + 1 :]]
        assert not verify_consistency(**claim | {"proof": other})


def test_proofs_outside_of_the_tree_are_not_made():
    with pytest.raises(ValueError, match="outside"):
        inclusion_proof(LEAVES, 8)
    with pytest.raises(ValueError, match="outside"):
        consistency_proof(LEAVES, 0)

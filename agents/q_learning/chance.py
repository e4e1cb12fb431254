"""Where a tabular learner's randomness comes from: a hash of who draws and when, and no state.

Draw t of the learner whose seed is s is the 64-bit word `mix(s + t * GOLDEN)`, all modulo 2**64,
with the finaliser of splitmix64 (Steele et al. 2014, doi:10.1145/2660193.2660195). One word decides
one action of one learner, see `agents.q_learning.schedule`. The same word on every machine, in
Python here and compiled in `agents.q_learning.kernel`: whoever knows the seed can play the session
again, period by period and to the last bit.
"""

GOLDEN = 0x9E3779B97F4A7C15
FIRST_FACTOR = 0xBF58476D1CE4E5B9
SECOND_FACTOR = 0x94D049BB133111EB
_WORD = (1 << 64) - 1


def mix(word: int) -> int:
    """The finaliser of splitmix64: a bijection of the 64-bit words."""
    word = (word ^ (word >> 30)) * FIRST_FACTOR & _WORD
    word = (word ^ (word >> 27)) * SECOND_FACTOR & _WORD
    return word ^ (word >> 31)


def draw(seed: int, period: int) -> int:
    """The word of `period` (0, 1, ...) for the learner with `seed`."""
    return mix((seed + period * GOLDEN) & _WORD)


def seat_seed(seed: int, seat: int) -> int:
    """The seed of the learner in `seat` of the session with `seed`, where nobody gives another."""
    return mix((mix(seed & _WORD) + (seat + 1) * GOLDEN) & _WORD)

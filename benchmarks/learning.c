/* The yardstick of benchmarks/learning.py: two tabular Q-learners of memory one with the smallest loop
   we know how to write in C, no more general than that. Same hash, same trajectories. */
#include <stdint.h>

static inline uint64_t mix(uint64_t word)
{
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9ULL;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBULL;
    return word ^ (word >> 31);
}

/* clock: periods, how many of the last changed nothing, state. Returns the last joint action. */
int64_t advance(int64_t size, double alpha, double discount, double decay, double floor_level,
                int64_t needed, int64_t limit, const double *payoffs, const uint64_t *keys,
                double *values, double *top, int16_t *greedy, int64_t *clock, double *exploration)
{
    const int64_t states = size * size;
    int64_t period = clock[0], stable = clock[1], state = clock[2], joint = 0;
    double level = *exploration;
    while (period < limit && stable < needed) {
        const int64_t threshold = (int64_t)level;
        int64_t action[2];
        for (int agent = 0; agent < 2; agent++) {
            const uint64_t word = mix(keys[agent] + (uint64_t)period * 0x9E3779B97F4A7C15ULL);
            action[agent] = (int64_t)(word >> 32) < threshold
                ? (int64_t)(((word & 0xFFFFFFFFULL) * (uint64_t)size) >> 32)
                : greedy[agent * states + state];
        }
        joint = action[0] * size + action[1];
        int changed = 0;
        for (int agent = 0; agent < 2; agent++) {
            double *row = values + (agent * states + state) * size;
            double *best = top + agent * states + state;
            int16_t *first = greedy + agent * states + state;
            const double old = row[action[agent]];
            const double target = payoffs[2 * joint + agent] + discount * top[agent * states + joint];
            const double new = old + alpha * (target - old);
            row[action[agent]] = new;
            if (action[agent] == *first) {
                *best = new;
                if (new < old) {
                    double most = row[0];
                    int found = 0;
                    for (int other = 1; other < size; other++)
                        if (row[other] > most) { most = row[other]; found = other; }
                    *best = most;
                    if (found != *first) { *first = found; changed = 1; }
                }
            } else if (new > *best || (new == *best && action[agent] < *first)) {
                *best = new;
                *first = action[agent];
                changed = 1;
            }
        }
        stable = changed ? 0 : stable + 1;
        level *= decay;
        if (level < floor_level) level = floor_level;
        state = joint;
        period++;
    }
    clock[0] = period; clock[1] = stable; clock[2] = state;
    *exploration = level;
    return joint;
}

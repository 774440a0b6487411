// Folds by group, row by row in processing order.  `state` has a value for each group and is changed; `running`, if it is not null,
// gets the group's value right after each row.
#include "common.h"

namespace {

template <class Step> void fold(const i64 *groups, i64 n, i64 *state, i64 *running, Step step) {
    if (running) {
        for (i64 i = 0; i < n; i++) {
            i64 *s = state + groups[i];
            running[i] = *s = step(*s, i);
        }
    } else {
        for (i64 i = 0; i < n; i++) {
            i64 *s = state + groups[i];
            *s = step(*s, i);
        }
    }
}

}  // namespace

// Sums, modulo 2**64.
KERNEL void fold_sums(const i64 *groups, const i64 *values, i64 n, i64 *state, i64 *running) {
    fold(groups, n, state, running, [=](i64 s, i64 i) { return (i64)((u64)s + (u64)values[i]); });
}

KERNEL void fold_largest(const i64 *groups, const i64 *values, i64 n, i64 *state, i64 *running) {
    fold(groups, n, state, running, [=](i64 s, i64 i) { return values[i] > s ? values[i] : s; });
}

KERNEL void fold_smallest(const i64 *groups, const i64 *values, i64 n, i64 *state, i64 *running) {
    fold(groups, n, state, running, [=](i64 s, i64 i) { return values[i] < s ? values[i] : s; });
}

// The number of the last marked row; the state begins with -1.
KERNEL void fold_last(const i64 *groups, const u8 *marked, i64 n, i64 *state, i64 *running) {
    fold(groups, n, state, running, [=](i64 s, i64 i) { return marked[i] ? i : s; });
}

// Several ascending runs as one order.
#include "common.h"

// Merges ascending runs: `keys` of run r are bounds[r] .. bounds[r + 1] - 1, `heads` has room for one number per run.  `order` gets
// the places of all keys in ascending order, of equal ones those of the earlier run first.
KERNEL void merge_runs(const i64 *keys, const i64 *bounds, i64 runs, i64 *heads, i64 *order) {
    const i64 total = bounds[runs];
    if (runs == 2) {
        i64 a = bounds[0], b = bounds[1], k = 0;
        while (a < bounds[1] && b < bounds[2]) {
            bool second = keys[b] < keys[a];
            order[k++] = second ? b : a;
            b += second;
            a += !second;
        }
        while (a < bounds[1]) order[k++] = a++;
        while (b < bounds[2]) order[k++] = b++;
        return;
    }
    for (i64 r = 0; r < runs; r++) heads[r] = bounds[r];
    for (i64 k = 0; k < total;) {
        i64 best = -1;
        for (i64 r = 0; r < runs; r++)
            if (heads[r] < bounds[r + 1] && (best < 0 || keys[heads[r]] < keys[heads[best]])) best = r;
        // Runs of rows from one source are long: all that come before the other heads go at once.
        i64 next = INT64_MAX;
        bool strict = false;
        for (i64 r = 0; r < runs; r++)
            if (r != best && heads[r] < bounds[r + 1] && (keys[heads[r]] < next || (keys[heads[r]] == next && r < best))) {
                next = keys[heads[r]];
                strict = r < best;
            }
        i64 h = heads[best];
        do order[k++] = h++;
        while (h < bounds[best + 1] && (keys[h] < next || (!strict && keys[h] == next)));
        heads[best] = h;
    }
}

// Merges ascending runs, of equal keys those of the earlier run first, and moves what stands beside them: run r has `lengths[r]`
// keys at keys[r] and as many numbers at beside[r].  `heads` has room for one number per run.
KERNEL void merge_beside(const i64 *const *keys, const i64 *const *beside, const i64 *lengths, i64 runs, i64 *heads, i64 *sorted,
                         i64 *moved) {
    if (runs == 2) {
        i64 a = 0, b = 0, k = 0;
        while (a < lengths[0] && b < lengths[1]) {
            const bool second = keys[1][b] < keys[0][a];
            sorted[k] = second ? keys[1][b] : keys[0][a];
            moved[k++] = second ? beside[1][b] : beside[0][a];
            b += second;
            a += !second;
        }
        for (; a < lengths[0]; a++) {
            sorted[k] = keys[0][a];
            moved[k++] = beside[0][a];
        }
        for (; b < lengths[1]; b++) {
            sorted[k] = keys[1][b];
            moved[k++] = beside[1][b];
        }
        return;
    }
    for (i64 r = 0; r < runs; r++) heads[r] = 0;
    for (i64 k = 0;;) {
        i64 best = -1, next = -1;  // the run whose head comes first, and the one after that
        for (i64 r = 0; r < runs; r++) {
            if (heads[r] == lengths[r]) continue;
            if (best < 0 || keys[r][heads[r]] < keys[best][heads[best]]) {
                next = best;
                best = r;
            } else if (next < 0 || keys[r][heads[r]] < keys[next][heads[next]]) {
                next = r;
            }
        }
        if (best < 0) return;
        const i64 limit = next < 0 ? 0 : keys[next][heads[next]];
        i64 h = heads[best];
        do {
            sorted[k] = keys[best][h];
            moved[k++] = beside[best][h++];
        } while (h < lengths[best] && (next < 0 || keys[best][h] < limit || (keys[best][h] == limit && best < next)));
        heads[best] = h;
    }
}

// The order in which the heads of queues are taken: by key, then tie, then queue; both ascend within a queue.  `truncated[q]`: there
// are more records behind those of queue q, so nothing is taken after its last one.  At most `limit` records are taken.  positions[q]
// gets the ranks of the records that are taken, `heads` how many of each queue are.  Returns how many are in all.
KERNEL i64 merge_queues(const i64 *const *keys, const i64 *const *ties, const i64 *lengths, const u8 *truncated, i64 queues, i64 limit,
                        i64 *heads, i64 *const *positions) {
    for (i64 q = 0; q < queues; q++) {
        heads[q] = 0;
        if (truncated[q] && lengths[q] == 0) limit = 0;
    }
    i64 taken = 0;
    if (queues == 2) {  // mostly, and without a branch that nobody can foretell
        i64 a = 0, b = 0;
        while (taken < limit && a < lengths[0] && b < lengths[1]) {
            const bool second = keys[1][b] < keys[0][a] || (keys[1][b] == keys[0][a] && ties[1][b] < ties[0][a]);
            positions[0][a] = positions[1][b] = taken++;  // the one that is not taken is written again
            a += !second;
            b += second;
        }
        if (!(a == lengths[0] && truncated[0]) && !(b == lengths[1] && truncated[1])) {
            while (taken < limit && a < lengths[0]) positions[0][a++] = taken++;
            while (taken < limit && b < lengths[1]) positions[1][b++] = taken++;
        }
        heads[0] = a;
        heads[1] = b;
        return taken;
    }
    while (taken < limit) {
        i64 best = -1, next = -1;
        i64 best_key = 0, best_tie = 0, next_key = 0, next_tie = 0;
        for (i64 q = 0; q < queues; q++) {
            const i64 h = heads[q];
            if (h == lengths[q]) continue;
            const i64 key = keys[q][h], tie = ties[q][h];
            if (best < 0 || key < best_key || (key == best_key && tie < best_tie)) {
                next = best;
                next_key = best_key;
                next_tie = best_tie;
                best = q;
                best_key = key;
                best_tie = tie;
            } else if (next < 0 || key < next_key || (key == next_key && tie < next_tie)) {
                next = q;
                next_key = key;
                next_tie = tie;
            }
        }
        if (best < 0) break;
        const i64 *k = keys[best], *t = ties[best];
        i64 *out = positions[best];
        i64 h = heads[best];
        const i64 end = lengths[best];
        if (next < 0) {
            while (h < end && taken < limit) out[h++] = taken++;
        } else {
            do out[h++] = taken++;
            while (h < end && taken < limit &&
                   (k[h] < next_key || (k[h] == next_key && (t[h] < next_tie || (t[h] == next_tie && best < next)))));
        }
        heads[best] = h;
        if (h == end && truncated[best]) break;
    }
    return taken;
}

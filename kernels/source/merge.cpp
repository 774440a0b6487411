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

// The order in which the heads of queues are taken: by key, then tie, then queue; both ascend within a queue.  Queue q has records
// bounds[q] .. bounds[q + 1] - 1; `truncated[q]`: there are more behind them, so nothing is taken after its last one.  At most
// `limit` records are taken.  `positions` gets the rank of each record that is taken, `heads` where each queue stopped.  Returns how
// many were taken.
KERNEL i64 merge_queues(const i64 *keys, const i64 *ties, const i64 *bounds, const u8 *truncated, i64 queues, i64 limit, i64 *heads,
                        i64 *positions) {
    for (i64 q = 0; q < queues; q++) {
        heads[q] = bounds[q];
        if (truncated[q] && bounds[q] == bounds[q + 1]) limit = 0;
    }
    i64 taken = 0;
    while (taken < limit) {
        i64 best = -1, next = -1;
        for (i64 q = 0; q < queues; q++) {
            const i64 h = heads[q];
            if (h == bounds[q + 1]) continue;
            if (best < 0 || keys[h] < keys[heads[best]] || (keys[h] == keys[heads[best]] && ties[h] < ties[heads[best]])) {
                next = best;
                best = q;
            } else if (next < 0 || keys[h] < keys[heads[next]] || (keys[h] == keys[heads[next]] && ties[h] < ties[heads[next]])) {
                next = q;
            }
        }
        if (best < 0) break;
        i64 h = heads[best];
        const i64 end = bounds[best + 1];
        if (next < 0) {
            while (h < end && taken < limit) positions[h++] = taken++;
        } else {
            const i64 key = keys[heads[next]], tie = ties[heads[next]];
            do positions[h++] = taken++;
            while (h < end && taken < limit &&
                   (keys[h] < key || (keys[h] == key && (ties[h] < tie || (ties[h] == tie && best < next)))));
        }
        heads[best] = h;
        if (h == end && truncated[best]) break;
    }
    return taken;
}

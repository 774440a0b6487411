// Several ascending runs as one order.
#include "common.h"

static inline i64 min_of(i64 a, i64 b) { return a < b ? a : b; }
static inline i64 max_of(i64 a, i64 b) { return a < b ? b : a; }

// Two runs are merged from both ends at once: the smallest and the largest of what is left of both, so often that neither run can be
// used up, in one loop without a branch that nobody can foretell.  Either end waits for its own last step only, so the processor
// works on both.  What is left in the middle of runs of different lengths is merged from the front.

// Merges ascending runs: `keys` of run r are bounds[r] .. bounds[r + 1] - 1, `heads` has room for one number per run.  `order` gets
// the places of all keys in ascending order, of equal ones those of the earlier run first.
KERNEL void merge_runs(const i64 *keys, const i64 *bounds, i64 runs, i64 *heads, i64 *order) {
    const i64 total = bounds[runs];
    if (runs == 2) {
        i64 a = bounds[0], b = bounds[1], k = 0, ae = bounds[1], be = bounds[2], ke = total;
        for (i64 n = min_of(ae - a, be - b); n > 0; n--) {
            const bool second = keys[b] < keys[a], first = keys[be - 1] < keys[ae - 1];
            order[k++] = second ? b : a;
            b += second;
            a += !second;
            be -= !first;
            ae -= first;
            order[--ke] = first ? ae : be;
        }
        while (a < ae && b < be) order[k++] = keys[b] < keys[a] ? b++ : a++;
        while (a < ae) order[k++] = a++;
        while (b < be) order[k++] = b++;
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
        const i64 *ka = keys[0], *kb = keys[1], *ma = beside[0], *mb = beside[1];
        i64 a = 0, b = 0, k = 0, ae = lengths[0], be = lengths[1], ke = ae + be;
        for (i64 n = min_of(ae, be); n > 0; n--) {
            const bool second = kb[b] < ka[a], first = kb[be - 1] < ka[ae - 1];
            sorted[k] = second ? kb[b] : ka[a];
            moved[k++] = second ? mb[b] : ma[a];
            b += second;
            a += !second;
            be -= !first;
            ae -= first;
            sorted[--ke] = first ? ka[ae] : kb[be];
            moved[ke] = first ? ma[ae] : mb[be];
        }
        while (a < ae || b < be) {
            const bool second = a == ae || (b < be && kb[b] < ka[a]);
            sorted[k] = second ? kb[b] : ka[a];
            moved[k++] = second ? mb[b++] : ma[a++];
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

// The records of a queue: ascending by key, of equal keys by tie.
struct Records {
    const i64 *keys, *ties;
    i64 length;
};

// Whether record j of the later queue comes before record i of the earlier one.
static inline bool comes_before(const Records &later, i64 j, const Records &earlier, i64 i) {
    return (later.keys[j] < earlier.keys[i]) | ((later.keys[j] == earlier.keys[i]) & (later.ties[j] < earlier.ties[i]));
}

// How many of the first `total` records of two queues are of the first queue, in the order of `merge_queues`.
static i64 share_of_first(const Records &a, const Records &b, i64 total) {
    i64 low = max_of(0, total - b.length), high = min_of(total, a.length);
    while (low < high) {
        const i64 some = low + (high - low) / 2;
        // With so few of the first one, the last one of the second must not come after the next of the first.
        if (comes_before(b, total - some - 1, a, some)) high = some;
        else low = some + 1;
    }
    return low;
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
    if (queues == 2) {  // mostly
        const Records first{keys[0], ties[0], lengths[0]}, second{keys[1], ties[1], lengths[1]};
        const i64 all = first.length + second.length;
        i64 total = min_of(limit, all);
        // What stands after the last record of a queue: the rank of that is found by how many of the other one go before it.
        if (truncated[0] && total > 0) {
            i64 before = 0, after = second.length;
            while (before < after) {
                const i64 some = before + (after - before) / 2;
                if (comes_before(second, some, first, first.length - 1)) before = some + 1;
                else after = some;
            }
            total = min_of(total, first.length + before);
        }
        if (truncated[1] && total > 0) {
            i64 before = 0, after = first.length;
            while (before < after) {
                const i64 some = before + (after - before) / 2;
                if (!comes_before(second, second.length - 1, first, some)) before = some + 1;
                else after = some;
            }
            total = min_of(total, second.length + before);
        }
        i64 a = 0, b = 0, ae = share_of_first(first, second, total), be = total - ae, last = total;
        heads[0] = ae;
        heads[1] = be;
        i64 *pa = positions[0], *pb = positions[1];
        for (i64 n = min_of(ae, be); n > 0; n--) {
            const bool from_second = comes_before(second, b, first, a), to_first = comes_before(second, be - 1, first, ae - 1);
            *(from_second ? pb + b : pa + a) = taken++;
            b += from_second;
            a += !from_second;
            be -= !to_first;
            ae -= to_first;
            *(to_first ? pa + ae : pb + be) = --last;
        }
        while (a < ae || b < be) {
            if (a == ae || (b < be && comes_before(second, b, first, a))) pb[b++] = taken++;
            else pa[a++] = taken++;
        }
        return total;
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

// The first rows of every group by a key, in one pass: a heap for each group, whose root is the last of those it keeps.
#include "common.h"

namespace {

struct Kept {
    i64 key, row;
};

inline bool before(const Kept &a, const Kept &b) { return a.key < b.key || (a.key == b.key && a.row < b.row); }

void sink(Kept *heap, i64 size, i64 at, Kept item) {
    for (;;) {
        i64 child = 2 * at + 1;
        if (child >= size) break;
        if (child + 1 < size && before(heap[child], heap[child + 1])) child++;
        if (!before(item, heap[child])) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = item;
}

void rise(Kept *heap, i64 at, Kept item) {
    while (at > 0) {
        i64 parent = (at - 1) / 2;
        if (!before(heap[parent], item)) break;
        heap[at] = heap[parent];
        at = parent;
    }
    heap[at] = item;
}

// Rows ascending.
void sort_rows(Kept *items, i64 size) {
    for (i64 i = 0; i < size; i++) items[i].key = 0;
    for (i64 i = size / 2 - 1; i >= 0; i--) sink(items, size, i, items[i]);
    for (i64 end = size - 1; end > 0; end--) {
        Kept last = items[end];
        items[end] = items[0];
        sink(items, end, 0, last);
    }
}

}  // namespace

// What each group keeps after every one of its rows, in one pass: the `k` rows with the smallest keys, in order, of equal keys the
// first ones (`distinct`: only the first one).  `starts` (groups + 1) says where the room of each group begins in `kept`: for as many
// as it may keep; `sizes` (groups) are there already, in order.  Rows are numbered from `first` on.  To `out`, up to `ends[i]`, goes
// what the group of row i keeps then; returns how many that are, or -1 if there are more than `room`.
KERNEL i64 top_running(const i64 *groups, const i64 *keys, const u8 *marked, i64 n, i64 first, i64 k, i64 distinct, const i64 *starts,
                       i64 *sizes, Kept *kept, i64 room, i32 *ends, i64 *out) {
    i64 total = 0;
    for (i64 i = 0; i < n; i++) {
        const i64 g = groups[i];
        Kept *own = kept + starts[g];
        i64 size = sizes[g];
        if (marked[i] && (size < k || keys[i] < own[size - 1].key)) {
            i64 at = size;
            while (at > 0 && keys[i] < own[at - 1].key) at--;
            if (!distinct || at == 0 || own[at - 1].key != keys[i]) {
                if (size < k) size = ++sizes[g];
                for (i64 j = size - 1; j > at; j--) own[j] = own[j - 1];
                own[at] = {keys[i], first + i};
            }
        }
        if (total + size > room) return -1;
        for (i64 j = 0; j < size; j++) out[total++] = own[j].row;
        ends[i] = (i32)total;
    }
    return total;
}

// Of the marked rows of each group the `k` with the smallest keys, of equal keys the first ones: their rows, by group and then
// ascending, to `out`; returns how many, or -1 if a row's group does not exist.  `marked` may be null: all are.  `starts` (groups + 1) says where the room of each group begins in `heaps`: for as many
// rows as it may keep.  `sizes` (groups) begins with zeros.
KERNEL i64 top_rows(const i64 *groups, const i64 *keys, const u8 *marked, i64 n, i64 count, i64 k, const i64 *starts, i64 *sizes,
                    Kept *heaps, i64 *out) {
    for (i64 i = 0; i < n; i++) {
        const i64 g = groups[i];
        if ((u64)g >= (u64)count) return -1;
        if (marked && !marked[i]) continue;
        Kept *heap = heaps + starts[g], item = {keys[i], i};
        if (sizes[g] < k)
            rise(heap, sizes[g]++, item);
        else if (item.key < heap[0].key)
            sink(heap, k, 0, item);
    }
    i64 total = 0;
    for (i64 g = 0; g < count; g++) {
        Kept *heap = heaps + starts[g];
        sort_rows(heap, sizes[g]);
        for (i64 j = 0; j < sizes[g]; j++) out[total++] = heap[j].row;
    }
    return total;
}

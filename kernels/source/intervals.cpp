// Rows by key and time.  The rows of a key (a slot) hang together in a chain, the latest first; of rows of one time the one that
// came last is first.  Each entry also points to one further down, as in a skip list, so that a place in time is found in few
// hops however long the chain is: where rows come in order, as many as the logarithm of its length.  Entries are put in
// anywhere; what pointed below them still does, so hops stay right and at worst get shorter.
#include "common.h"

namespace {

const u32 NONE = 0xFFFFFFFFu;

struct Entry {
    i64 time;
    u32 next;   // the one before it in time; NONE for the earliest
    u32 jump;   // one further down, or itself for the earliest
    u32 depth;  // how many were below it when it came: says how far jumps go
    u32 slot;
};

// One side's rows of a step, ascending by `place`.
struct Side {
    Entry *entries;
    u32 *heads;
    i64 rows;
    const i64 *place;
    const i64 *entry;  // of each row; -1: it is not kept
    const i64 *slot;   // the key's slot on the other side; -1: the key is not there
    const i64 *low;
    const i64 *high;
    i64 *queries;
    i64 *found;
    i64 room;
    i64 at;     // rows done
    i64 count;  // pairs found
};

// The latest entry that is not after `time`, from `at` down; `above` gets the one before it in the chain.
inline u32 descend(const Entry *entries, u32 at, i64 time, u32 *above) {
    *above = NONE;
    while (at != NONE && entries[at].time > time) {
        *above = at;
        const u32 far = entries[at].jump;
        at = far != at && entries[far].time > time ? far : entries[at].next;
    }
    return at;
}

inline void link(Entry *entries, u32 *heads, u32 number) {
    Entry *e = entries + number;
    u32 above;
    const u32 below = descend(entries, heads[e->slot], e->time, &above);
    e->next = below;
    if (below == NONE) {
        e->jump = number;
        e->depth = 0;
    } else {
        const Entry *b = entries + below;
        const Entry *j = entries + b->jump;
        e->depth = b->depth + 1;
        e->jump = b->depth - j->depth == j->depth - entries[j->jump].depth ? j->jump : below;
    }
    if (above == NONE)
        heads[e->slot] = number;
    else
        entries[above].next = number;
}

// Adds the entries of a slot from `low` to `high`, the earliest first; false if there is no room for all.
inline bool collect(const Entry *entries, const u32 *heads, i64 slot, i64 low, i64 high, i64 query, i64 *queries, i64 *found,
                    i64 room, i64 *count) {
    u32 above;
    u32 at = descend(entries, heads[slot], high, &above);
    const i64 first = *count;
    i64 k = first;
    for (; at != NONE && entries[at].time >= low; at = entries[at].next) {
        if (k == room) return false;
        queries[k] = query;
        found[k++] = at;
    }
    for (i64 a = first, b = k - 1; a < b; a++, b--) {
        const i64 t = found[a];
        found[a] = found[b];
        found[b] = t;
    }
    *count = k;
    return true;
}

}  // namespace

// Links entries first..first+n-1, whose times and slots are there.
KERNEL void interval_link(void *entries, u32 *heads, i64 first, i64 n) {
    Entry *e = (Entry *)entries;
    for (i64 i = first; i < first + n; i++) {
        if (i + AHEAD < first + n) PREFETCH_WRITE(heads + e[i + AHEAD].slot);
        link(e, heads, (u32)i);
    }
}

// Entries of each query's slot (-1: none) from its `low` to its `high`, as pairs of query and entry.  `state`: the next query and
// the pairs so far, to go on with when there is more room.  Returns 1 if there was too little.
KERNEL i64 interval_find(const void *entries, const u32 *heads, const i64 *slots, const i64 *low, const i64 *high, i64 n, i64 *state,
                         i64 *queries, i64 *found, i64 room) {
    const Entry *e = (const Entry *)entries;
    for (i64 i = state[0]; i < n; i++) {
        if (i + AHEAD < n && slots[i + AHEAD] >= 0) PREFETCH(heads + slots[i + AHEAD]);
        if (slots[i] >= 0 && !collect(e, heads, slots[i], low[i], high[i], i, queries, found, room, state + 1)) {
            state[0] = i;
            return 1;
        }
    }
    state[0] = n;
    return 0;
}

// A step of a join: the rows of two sides in the order of their places; each finds what the other side holds at that moment, then
// its own entry is linked.  Returns -1 when done, or the side whose pairs have too little room, to go on with more.
KERNEL i64 interval_join(void *both) {
    Side *sides = (Side *)both;
    for (;;) {
        const bool left = sides[0].at < sides[0].rows, right = sides[1].at < sides[1].rows;
        if (!left && !right) return -1;
        const i64 which = !left || (right && sides[1].place[sides[1].at] < sides[0].place[sides[0].at]);
        Side &own = sides[which];
        const Side &other = sides[1 - which];
        const i64 end = other.at < other.rows ? other.place[other.at] : INT64_MAX;
        while (own.at < own.rows && own.place[own.at] < end) {
            const i64 i = own.at;
            if (i + AHEAD < own.rows) {
                const i64 ahead = i + AHEAD;
                if (own.slot[ahead] >= 0) PREFETCH(other.heads + own.slot[ahead]);
                if (own.entry[ahead] >= 0) PREFETCH_WRITE(own.heads + own.entries[own.entry[ahead]].slot);
            }
            if (i + AHEAD / 2 < own.rows && own.slot[i + AHEAD / 2] >= 0) {
                const u32 head = other.heads[own.slot[i + AHEAD / 2]];
                if (head != NONE) PREFETCH(other.entries + head);
            }
            if (own.slot[i] >= 0 && !collect(other.entries, other.heads, own.slot[i], own.low[i], own.high[i], i, own.queries,
                                             own.found, own.room, &own.count))
                return which;
            if (own.entry[i] >= 0) link(own.entries, own.heads, (u32)own.entry[i]);
            own.at++;
        }
    }
}

// The entries that are later than `expired`, linked anew in `fresh` in the order in which they came; `heads` are all NONE.  `kept`
// gets their numbers.  Returns how many there are.
KERNEL i64 interval_compact(const void *entries, i64 n, i64 expired, void *fresh, u32 *heads, i64 *kept) {
    const Entry *from = (const Entry *)entries;
    Entry *to = (Entry *)fresh;
    i64 k = 0;
    for (i64 i = 0; i < n; i++) {
        if (from[i].time <= expired) continue;
        to[k].time = from[i].time;
        to[k].slot = from[i].slot;
        link(to, heads, (u32)k);
        kept[k++] = i;
    }
    return k;
}

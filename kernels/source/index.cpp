// A hash index: key columns -> slots.  Open addressing over 64-bit entries: the upper half of the key's hash (the tag), and
// its slot.  The tag alone gives the place of an entry, so that a table can be doubled without looking at the keys.
//
// Entries are never changed once they are made: a removed key's entry stays until the next rebuild, and is passed over because
// its slot is not live, or has another key.  So a reader with a frozen picture of the keys can search the table that is being
// written to.
//
// Keys come as descriptors, arrays of int64 that hold addresses (kernels/index.py makes them):
//   batch:  rows, words, texts, nulls, then the address of each word column (u64 by row),
//           then for each text: offsets, bytes, whether offsets have 64 bits, its bit in nulls
//   stored: words, texts, nulls, live, then the address of each word column (u64 by slot),
//           then for each text: starts (i64 by slot), lengths (i64 by slot), heap, used, capacity
#include "common.h"

namespace {

const u64 EMPTY = 0xFFFFFFFFFFFFFFFFull;
const u64 TAG = 0xFFFFFFFF00000000ull;
const u64 SEED = 0x243F6A8885A308D3ull;
enum { BLOCK = 64 };

struct Bytes {
    const u8 *data;
    i64 length;
};

struct Batch {
    i64 rows, words, texts;
    const u64 *nulls;
    const i64 *columns;

    explicit Batch(const i64 *d) : rows(d[0]), words(d[1]), texts(d[2]), nulls((const u64 *)d[3]), columns(d + 4) {}
    const u64 *word(i64 w) const { return (const u64 *)columns[w]; }
    u64 null_bits(i64 row) const { return nulls ? nulls[row] : 0; }
    Bytes text(i64 t, i64 row) const {
        const i64 *d = columns + words + 4 * t;
        if (nulls && ((nulls[row] >> d[3]) & 1)) return {nullptr, 0};
        const u8 *data = (const u8 *)d[1];
        if (d[2]) {
            const i64 *o = (const i64 *)d[0] + row;
            return {data + o[0], o[1] - o[0]};
        }
        const i32 *o = (const i32 *)d[0] + row;
        return {data + o[0], (i64)o[1] - o[0]};
    }
};

struct Stored {
    i64 words, texts;
    u64 *nulls;
    u8 *live;
    i64 *columns;

    explicit Stored(i64 *d) : words(d[0]), texts(d[1]), nulls((u64 *)d[2]), live((u8 *)d[3]), columns(d + 4) {}
    u64 *word(i64 w) const { return (u64 *)columns[w]; }
    i64 *text(i64 t) const { return columns + words + 5 * t; }
    Bytes text_at(i64 t, i64 slot) const {
        const i64 *d = text(t);
        return {(const u8 *)d[2] + ((const i64 *)d[0])[slot], ((const i64 *)d[1])[slot]};
    }
};

inline bool same_bytes(Bytes a, Bytes b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, (size_t)a.length) == 0);
}

// Keys of one or two words and nothing else: most of them.
template <int W> struct WordKeys {
    const u64 *batch[W];
    u64 *stored[W];

    WordKeys(const Batch &b, const Stored &s) {
        for (int w = 0; w < W; w++) {
            batch[w] = b.word(w);
            stored[w] = s.word(w);
        }
    }
    u64 hash(i64 row) const {
        u64 h = SEED;
        for (int w = 0; w < W; w++) h = mix(h ^ batch[w][row]);
        return h;
    }
    u64 hash_stored(i64 slot) const {
        u64 h = SEED;
        for (int w = 0; w < W; w++) h = mix(h ^ stored[w][slot]);
        return h;
    }
    void prefetch(i64 slot) const {
        for (int w = 0; w < W; w++) PREFETCH(stored[w] + slot);
    }
    void prefetch_bytes(i64) const {}
    bool equal(i64 slot, i64 row) const {
        bool same = true;
        for (int w = 0; w < W; w++) same &= stored[w][slot] == batch[w][row];
        return same;
    }
    bool fits(i64) const { return true; }
    void put(i64 slot, i64 row) const {
        for (int w = 0; w < W; w++) stored[w][slot] = batch[w][row];
    }
};

struct AnyKeys {
    Batch b;
    Stored s;

    AnyKeys(const Batch &batch, const Stored &stored) : b(batch), s(stored) {}
    u64 hash(i64 row) const {
        u64 h = SEED;
        for (i64 w = 0; w < b.words; w++) h = mix(h ^ b.word(w)[row]);
        for (i64 t = 0; t < b.texts; t++) {
            Bytes x = b.text(t, row);
            h = mix(h ^ hash_bytes(x.data, x.length));
        }
        // Rows without nulls hash as they do in a batch that has none.
        u64 nulls = b.null_bits(row);
        return nulls ? mix(h ^ nulls) : h;
    }
    u64 hash_stored(i64 slot) const {
        u64 h = SEED;
        for (i64 w = 0; w < s.words; w++) h = mix(h ^ s.word(w)[slot]);
        for (i64 t = 0; t < s.texts; t++) {
            Bytes x = s.text_at(t, slot);
            h = mix(h ^ hash_bytes(x.data, x.length));
        }
        u64 nulls = s.nulls ? s.nulls[slot] : 0;
        return nulls ? mix(h ^ nulls) : h;
    }
    void prefetch(i64 slot) const {
        for (i64 w = 0; w < s.words; w++) PREFETCH(s.word(w) + slot);
        for (i64 t = 0; t < s.texts; t++) {
            PREFETCH((const i64 *)s.text(t)[0] + slot);
            PREFETCH((const i64 *)s.text(t)[1] + slot);
        }
        if (s.nulls) PREFETCH(s.nulls + slot);
    }
    void prefetch_bytes(i64 slot) const {
        for (i64 t = 0; t < s.texts; t++) PREFETCH(s.text_at(t, slot).data);
    }
    bool equal(i64 slot, i64 row) const {
        if ((s.nulls ? s.nulls[slot] : 0) != b.null_bits(row)) return false;
        for (i64 w = 0; w < b.words; w++)
            if (s.word(w)[slot] != b.word(w)[row]) return false;
        for (i64 t = 0; t < b.texts; t++)
            if (!same_bytes(s.text_at(t, slot), b.text(t, row))) return false;
        return true;
    }
    bool fits(i64 row) const {
        for (i64 t = 0; t < b.texts; t++)
            if (s.text(t)[3] + b.text(t, row).length > s.text(t)[4]) return false;
        return true;
    }
    void put(i64 slot, i64 row) const {
        for (i64 w = 0; w < b.words; w++) s.word(w)[slot] = b.word(w)[row];
        for (i64 t = 0; t < b.texts; t++) {
            i64 *d = s.text(t);
            Bytes x = b.text(t, row);
            ((i64 *)d[0])[slot] = d[3];
            ((i64 *)d[1])[slot] = x.length;
            copy_bytes((u8 *)d[2] + d[3], x.data, x.length);
            d[3] += x.length;
        }
        if (s.nulls) s.nulls[slot] = b.null_bits(row);
    }
};

// What `index_insert` reads and writes of an index, an array of int64.
struct State {
    u64 *table;
    u64 mask;
    i64 slots;       // ever given out
    i64 slot_limit;  // room in the columns
    i64 entries;     // made in the table since it was built
    i64 entry_limit;
    const i64 *free;
    i64 free_count;
};

inline u64 read_entry(const u64 *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }

inline u64 place(u64 hash, u64 mask) { return (hash >> 32) & mask; }

template <class Keys> void find_rows(const u64 *table, u64 mask, i64 slot_count, const u8 *live, const Keys &keys, i64 rows, i64 *out) {
    u64 hashes[BLOCK];
    for (i64 s = 0; s < rows; s += BLOCK) {
        int m = rows - s < BLOCK ? (int)(rows - s) : (int)BLOCK;
        for (int j = 0; j < m; j++) {
            hashes[j] = keys.hash(s + j);
            PREFETCH(table + place(hashes[j], mask));
        }
        for (int j = 0; j < m; j++) {
            u64 e = table[place(hashes[j], mask)];
            if ((e ^ hashes[j]) <= ~TAG && (i64)(u32)e < slot_count) keys.prefetch((u32)e);
        }
        for (int j = 0; j < m; j++) {
            u64 h = hashes[j], at = place(h, mask);
            i64 found = -1;
            for (;; at = (at + 1) & mask) {
                u64 e = table[at];
                if (e == EMPTY) break;
                i64 slot = (u32)e;
                if (((e ^ h) & TAG) == 0 && slot < slot_count && live[slot] && keys.equal(slot, s + j)) {
                    found = slot;
                    break;
                }
            }
            out[s + j] = found;
        }
    }
}

template <class Keys> i64 insert_rows(State *x, u8 *live, const Keys &keys, i64 from, i64 rows, i64 *out, u8 *is_new) {
    u64 hashes[BLOCK];
    u64 *table = x->table;
    const u64 mask = x->mask;
    for (i64 s = from; s < rows; s += BLOCK) {
        int m = rows - s < BLOCK ? (int)(rows - s) : (int)BLOCK;
        for (int j = 0; j < m; j++) {
            hashes[j] = keys.hash(s + j);
            PREFETCH(table + place(hashes[j], mask));
        }
        for (int j = 0; j < m; j++) {
            u64 e = table[place(hashes[j], mask)];
            if (e != EMPTY && ((e ^ hashes[j]) & TAG) == 0) keys.prefetch((u32)e);
        }
        for (int j = 0; j < m; j++) {
            u64 e = table[place(hashes[j], mask)];
            if (e != EMPTY && ((e ^ hashes[j]) & TAG) == 0) keys.prefetch_bytes((u32)e);
        }
        for (int j = 0; j < m; j++) {
            u64 h = hashes[j], at = place(h, mask);
            const i64 row = s + j;
            for (;; at = (at + 1) & mask) {
                u64 e = table[at];
                if (e == EMPTY) {
                    if (x->entries == x->entry_limit || (x->free_count == 0 && x->slots == x->slot_limit) || !keys.fits(row))
                        return row;
                    i64 slot = x->free_count ? x->free[--x->free_count] : x->slots++;
                    keys.put(slot, row);
                    live[slot] = 1;
                    x->entries++;
                    __atomic_store_n(table + at, (h & TAG) | (u64)slot, __ATOMIC_RELEASE);
                    out[row] = slot;
                    is_new[row] = 1;
                    break;
                }
                i64 slot = (u32)e;
                if (((e ^ h) & TAG) == 0 && live[slot] && keys.equal(slot, row)) {
                    out[row] = slot;
                    is_new[row] = 0;
                    break;
                }
            }
        }
    }
    return rows;
}

template <class Keys> void build_table(u64 *table, u64 mask, const u8 *live, const Keys &keys, i64 slots) {
    u64 hashes[BLOCK];
    for (i64 s = 0; s < slots; s += BLOCK) {
        int m = slots - s < BLOCK ? (int)(slots - s) : (int)BLOCK;
        for (int j = 0; j < m; j++) {
            hashes[j] = live[s + j] ? keys.hash_stored(s + j) : 0;
            PREFETCH_WRITE(table + place(hashes[j], mask));
        }
        for (int j = 0; j < m; j++) {
            if (!live[s + j]) continue;
            u64 at = place(hashes[j], mask);
            while (table[at] != EMPTY) at = (at + 1) & mask;
            table[at] = (hashes[j] & TAG) | (u64)(s + j);
        }
    }
}

// Numbers the distinct keys of a batch in order of first occurrence; the table holds row numbers of first rows.
template <class Keys> i64 number_rows(u64 *table, u64 mask, const Keys &keys, i64 rows, i64 *numbers, i64 *firsts) {
    u64 hashes[BLOCK];
    i64 count = 0;
    for (i64 s = 0; s < rows; s += BLOCK) {
        int m = rows - s < BLOCK ? (int)(rows - s) : (int)BLOCK;
        for (int j = 0; j < m; j++) {
            hashes[j] = keys.hash(s + j);
            PREFETCH_WRITE(table + place(hashes[j], mask));
        }
        for (int j = 0; j < m; j++) {
            u64 h = hashes[j], at = place(h, mask);
            const i64 row = s + j;
            for (;; at = (at + 1) & mask) {
                u64 e = table[at];
                if (e == EMPTY) {
                    table[at] = (h & TAG) | (u64)count;
                    firsts[count] = row;
                    numbers[row] = count++;
                    break;
                }
                if (((e ^ h) & TAG) == 0 && keys.same_rows(firsts[(u32)e], row)) {
                    numbers[row] = (u32)e;
                    break;
                }
            }
        }
    }
    return count;
}

template <int W> struct WordRows {
    const u64 *words[W];

    explicit WordRows(const Batch &b) {
        for (int w = 0; w < W; w++) words[w] = b.word(w);
    }
    u64 hash(i64 row) const {
        u64 h = SEED;
        for (int w = 0; w < W; w++) h = mix(h ^ words[w][row]);
        return h;
    }
    bool same_rows(i64 a, i64 b) const {
        bool same = true;
        for (int w = 0; w < W; w++) same &= words[w][a] == words[w][b];
        return same;
    }
};

struct AnyRows {
    Batch b;

    explicit AnyRows(const Batch &batch) : b(batch) {}
    u64 hash(i64 row) const {
        u64 h = SEED;
        for (i64 w = 0; w < b.words; w++) h = mix(h ^ b.word(w)[row]);
        for (i64 t = 0; t < b.texts; t++) {
            Bytes x = b.text(t, row);
            h = mix(h ^ hash_bytes(x.data, x.length));
        }
        u64 nulls = b.null_bits(row);
        return nulls ? mix(h ^ nulls) : h;
    }
    bool same_rows(i64 x, i64 y) const {
        if (b.null_bits(x) != b.null_bits(y)) return false;
        for (i64 w = 0; w < b.words; w++)
            if (b.word(w)[x] != b.word(w)[y]) return false;
        for (i64 t = 0; t < b.texts; t++)
            if (!same_bytes(b.text(t, x), b.text(t, y))) return false;
        return true;
    }
};

inline bool plain(const Batch &b, const Stored &s) { return b.texts == 0 && !b.nulls && !s.nulls; }

}  // namespace

// out[row] = the slot of each row's key, or -1.
KERNEL void index_find(const u64 *table, i64 mask, i64 slot_count, const i64 *batch, i64 *stored, i64 *out) {
    Batch b(batch);
    Stored s(stored);
    if (plain(b, s) && b.words == 1)
        find_rows(table, (u64)mask, slot_count, s.live, WordKeys<1>(b, s), b.rows, out);
    else if (plain(b, s) && b.words == 2)
        find_rows(table, (u64)mask, slot_count, s.live, WordKeys<2>(b, s), b.rows, out);
    else
        find_rows(table, (u64)mask, slot_count, s.live, AnyKeys(b, s), b.rows, out);
}

// As `index_find`, and gives missing keys slots, from row `from` on.  Returns the row at which there was no more room in the
// table, the columns or a heap (the batch's number of rows if all were done).
KERNEL i64 index_insert(i64 *state, const i64 *batch, i64 *stored, i64 from, i64 *out, u8 *is_new) {
    State *x = (State *)state;
    Batch b(batch);
    Stored s(stored);
    if (plain(b, s) && b.words == 1) return insert_rows(x, s.live, WordKeys<1>(b, s), from, b.rows, out, is_new);
    if (plain(b, s) && b.words == 2) return insert_rows(x, s.live, WordKeys<2>(b, s), from, b.rows, out, is_new);
    return insert_rows(x, s.live, AnyKeys(b, s), from, b.rows, out, is_new);
}

// Enters all live slots below `slots` into an empty table.
KERNEL void index_build(u64 *table, i64 mask, i64 *stored, i64 slots) {
    Stored s(stored);
    const i64 nothing[4] = {0, s.words, 0, 0};
    if (s.texts == 0 && !s.nulls && s.words <= 2 && s.words > 0) {
        const i64 columns[6] = {0, s.words, 0, 0, 0, 0};
        Batch b(columns);
        if (s.words == 1)
            build_table(table, (u64)mask, s.live, WordKeys<1>(b, s), slots);
        else
            build_table(table, (u64)mask, s.live, WordKeys<2>(b, s), slots);
        return;
    }
    build_table(table, (u64)mask, s.live, AnyKeys(Batch(nothing), s), slots);
}

// Enters the entries of a table, none of which is of a removed key, into a larger, empty one.
KERNEL void index_grow(const u64 *old, i64 old_entries, u64 *table, i64 mask) {
    const u64 m = (u64)mask;
    for (i64 i = 0; i < old_entries; i++) {
        if (i + AHEAD < old_entries && old[i + AHEAD] != EMPTY) PREFETCH_WRITE(table + place(old[i + AHEAD], m));
        u64 e = old[i];
        if (e == EMPTY) continue;
        u64 at = place(e, m);
        while (table[at] != EMPTY) at = (at + 1) & m;
        table[at] = e;
    }
}

// For a reader of a frozen index: pairs of a row and a slot below `slot_count` whose entry has the tag of the row's key, from
// row *row on, as many as `room` allows; whether the key is the slot's, the reader finds out.  Returns the number of pairs; *row
// is where it stopped.
KERNEL i64 index_candidates(const u64 *table, i64 mask, i64 slot_count, const i64 *batch, i64 *row, i64 *rows_out, i64 *slots_out, i64 room) {
    AnyRows keys{Batch(batch)};
    const u64 m = (u64)mask;
    i64 count = 0;
    for (i64 i = *row; i < keys.b.rows; i++) {
        const i64 before = count;
        u64 h = keys.hash(i);
        for (u64 at = place(h, m);; at = (at + 1) & m) {
            u64 e = read_entry(table + at);
            if (e == EMPTY) break;
            if (((e ^ h) & TAG) != 0 || (i64)(u32)e >= slot_count) continue;
            if (count == room) {
                *row = i;
                return before;
            }
            rows_out[count] = i;
            slots_out[count++] = (u32)e;
        }
    }
    *row = keys.b.rows;
    return count;
}

// Numbers the keys of a batch densely: see `number_rows`.  `table`: filled with ones, more than twice as many entries as rows.
KERNEL i64 index_number(u64 *table, i64 mask, const i64 *batch, i64 *numbers, i64 *firsts) {
    Batch b(batch);
    if (b.texts == 0 && !b.nulls && b.words == 1) return number_rows(table, (u64)mask, WordRows<1>(b), b.rows, numbers, firsts);
    if (b.texts == 0 && !b.nulls && b.words == 2) return number_rows(table, (u64)mask, WordRows<2>(b), b.rows, numbers, firsts);
    return number_rows(table, (u64)mask, AnyRows(b), b.rows, numbers, firsts);
}

// Writes keys of rows into slots (recovery: the table is built afterwards).  Heaps have room.
KERNEL void index_place(const i64 *batch, i64 *stored, const i64 *slots) {
    Batch b(batch);
    Stored s(stored);
    AnyKeys keys(b, s);
    for (i64 row = 0; row < b.rows; row++) {
        keys.put(slots[row], row);
        s.live[slots[row]] = 1;
    }
}

// Numbers the distinct slots of a batch densely, in order of first occurrence.  `scratch`, by slot, holds (generation, number)
// of former calls.  Returns how many there are.
KERNEL i64 group_slots(const i64 *slots, i64 rows, i64 generation, u64 *scratch, i64 *numbers, i64 *distinct) {
    i64 count = 0;
    const u64 mark = (u64)generation << 32;
    for (i64 i = 0; i < rows; i++) {
        if (i + AHEAD < rows) PREFETCH_WRITE(scratch + slots[i + AHEAD]);
        u64 held = scratch[slots[i]];
        if ((held & TAG) != mark) {
            held = mark | (u64)count;
            scratch[slots[i]] = held;
            distinct[count++] = slots[i];
        }
        numbers[i] = (u32)held;
    }
    return count;
}

// The first rows of runs of equal keys (of words only, without nulls) to `heads`: returns how many, or -1 if there are more than
// `most`.
KERNEL i64 key_runs(const i64 *batch, i64 most, i64 *heads) {
    Batch b(batch);
    i64 count = 0;
    for (i64 i = 0; i < b.rows; i++) {
        bool same = i > 0;
        for (i64 w = 0; w < b.words && same; w++) same = b.word(w)[i] == b.word(w)[i - 1];
        if (same) continue;
        if (count == most) return -1;
        heads[count++] = i;
    }
    return count;
}

// `group_slots`, but numbered in order of last occurrence; `last` gets that row of each.
KERNEL i64 group_slots_by_last(const i64 *slots, i64 rows, i64 generation, u64 *scratch, i64 *numbers, i64 *distinct, i64 *last) {
    i64 count = 0, before = -1;
    u64 held = 0;
    const u64 mark = (u64)generation << 32;
    for (i64 i = rows - 1; i >= 0; i--) {
        if (i >= AHEAD) PREFETCH_WRITE(scratch + slots[i - AHEAD]);
        if (slots[i] != before) {
            before = slots[i];
            held = scratch[before];
            if ((held & TAG) != mark) {
                held = mark | (u64)count;
                scratch[before] = held;
                distinct[count] = before;
                last[count++] = i;
            }
        }
        numbers[i] = (u32)held;
    }
    for (i64 i = 0; i < rows; i++) numbers[i] = count - 1 - numbers[i];
    for (i64 a = 0, z = count - 1; a < z; a++, z--) {
        const i64 slot = distinct[a], row = last[a];
        distinct[a] = distinct[z];
        last[a] = last[z];
        distinct[z] = slot;
        last[z] = row;
    }
    return count;
}

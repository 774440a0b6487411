// Rows out of several arrays into one.  A row is a reference: the number of its array in the upper 32 bits, and the row in it in
// the lower ones; a negative reference is a row of nulls.  Tables of addresses have one entry for each array.
#include "common.h"

namespace {

template <class T> void gather(const T *const *data, const i64 *refs, i64 n, T *out) {
    for (i64 i = 0; i < n; i++) {
        if (i + AHEAD < n && refs[i + AHEAD] >= 0) PREFETCH(data[refs[i + AHEAD] >> 32] + (u32)refs[i + AHEAD]);
        if (refs[i] >= 0)
            out[i] = data[refs[i] >> 32][(u32)refs[i]];
        else
            memset(out + i, 0, sizeof(T));
    }
}

struct Wide16 {
    u64 a[2];
};
struct Wide32 {
    u64 a[4];
};

template <class O> i64 offsets(const O *const *ends, const i64 *refs, i64 n, O *out, i64 limit) {
    i64 total = 0;
    out[0] = 0;
    for (i64 i = 0; i < n; i++) {
        if (i + AHEAD < n && refs[i + AHEAD] >= 0) PREFETCH(ends[refs[i + AHEAD] >> 32] + (u32)refs[i + AHEAD]);
        if (refs[i] >= 0) {
            const O *e = ends[refs[i] >> 32] + (u32)refs[i];
            total += (i64)e[1] - (i64)e[0];
            if (total > limit) return -1;
        }
        out[i + 1] = (O)total;
    }
    return total;
}

template <class O> void bytes(const O *const *ends, const u8 *const *data, const i64 *refs, i64 n, const O *to, u8 *out) {
    for (i64 i = 0; i < n; i++) {
        if (i + AHEAD < n && refs[i + AHEAD] >= 0) {
            i64 r = refs[i + AHEAD];
            PREFETCH(data[r >> 32] + ends[r >> 32][(u32)r]);
        }
        if (refs[i] < 0) continue;
        const O *e = ends[refs[i] >> 32] + (u32)refs[i];
        copy_bytes(out + to[i], data[refs[i] >> 32] + e[0], (i64)e[1] - (i64)e[0]);
    }
}

}  // namespace

// Looks at references before anything is read by them: `used` (all 0) marks the arrays that they name.  Returns how many are
// rows of nulls, or -1 if one is beyond the end of its array or of an array that is not there.
KERNEL i64 gather_check(const i64 *lengths, i64 arrays, const i64 *refs, i64 n, u8 *used) {
    i64 missing = 0;
    if (arrays == 1) {
        bool beyond = false;
        for (i64 i = 0; i < n; i++) {
            missing += refs[i] < 0;
            beyond |= refs[i] >= lengths[0];
        }
        used[0] = missing < n;
        return beyond ? -1 : missing;
    }
    for (i64 i = 0; i < n; i++) {
        if (refs[i] < 0) {
            missing++;
            continue;
        }
        const i64 which = refs[i] >> 32;
        if (which >= arrays || (i64)(u32)refs[i] >= lengths[which]) return -1;
        used[which] = 1;
    }
    return missing;
}

// Items of 1, 2, 4, 8, 16 or 32 bytes.
KERNEL void gather_items(const void *const *data, i64 width, const i64 *refs, i64 n, void *out) {
    switch (width) {
        case 1: gather((const u8 *const *)data, refs, n, (u8 *)out); break;
        case 2: gather((const uint16_t *const *)data, refs, n, (uint16_t *)out); break;
        case 4: gather((const u32 *const *)data, refs, n, (u32 *)out); break;
        case 8: gather((const u64 *const *)data, refs, n, (u64 *)out); break;
        case 16: gather((const Wide16 *const *)data, refs, n, (Wide16 *)out); break;
        case 32: gather((const Wide32 *const *)data, refs, n, (Wide32 *)out); break;
    }
}

// The offsets (32 or 64 bits) of gathered strings; returns their bytes, or -1 if those are more than `limit`.
KERNEL i64 gather_offsets(const void *const *ends, i64 large, const i64 *refs, i64 n, void *out, i64 limit) {
    if (large) return offsets((const i64 *const *)ends, refs, n, (i64 *)out, limit);
    return offsets((const i32 *const *)ends, refs, n, (i32 *)out, limit);
}

// References to the items of gathered lists (offsets of 32 bits, none of them negative), to where `gather_offsets` said.
KERNEL void gather_ranges(const i32 *const *ends, const i64 *refs, i64 n, const i32 *to, i64 *out) {
    for (i64 i = 0; i < n; i++) {
        if (i + AHEAD < n && refs[i + AHEAD] >= 0) PREFETCH(ends[refs[i + AHEAD] >> 32] + (u32)refs[i + AHEAD]);
        if (refs[i] < 0) continue;
        const i64 array = refs[i] >> 32, begin = ends[array][(u32)refs[i]];
        for (i64 j = 0; j < to[i + 1] - to[i]; j++) out[to[i] + j] = (array << 32) | (begin + j);
    }
}

// The bytes of gathered strings, to where `gather_offsets` said.
KERNEL void gather_bytes(const void *const *ends, i64 large, const u8 *const *data, const i64 *refs, i64 n, const void *to, u8 *out) {
    if (large)
        bytes((const i64 *const *)ends, data, refs, n, (const i64 *)to, out);
    else
        bytes((const i32 *const *)ends, data, refs, n, (const i32 *)to, out);
}

// Validity bits (an address of 0: nothing is null; `first`: the bit at which an array begins), or a column of bits (bools, with
// `missing` 0).  Returns how many bits are 0.
KERNEL i64 gather_bits(const u8 *const *bits, const i64 *first, const i64 *refs, i64 n, u8 *out) {
    i64 zeros = 0;
    for (i64 i = 0; i < n; i += 8) {
        u32 byte = 0;
        for (i64 j = i; j < i + 8 && j < n; j++) {
            u32 bit = 0;
            if (refs[j] >= 0) {
                const u8 *b = bits[refs[j] >> 32];
                if (b) {
                    i64 at = first[refs[j] >> 32] + (i64)(u32)refs[j];
                    bit = (b[at >> 3] >> (at & 7)) & 1;
                } else {
                    bit = 1;
                }
            }
            byte |= bit << (j - i);
            zeros += !bit;
        }
        out[i >> 3] = (u8)byte;
    }
    return zeros;
}

// Rows by their target, as lists one behind the other: `ends` (targets + 1 numbers) says where; each list keeps the rows' order.
KERNEL void scatter_rows(const i64 *targets, i64 n, i64 count, i64 *ends, i64 *heads, i64 *rows) {
    for (i64 t = 0; t <= count; t++) ends[t] = 0;
    for (i64 i = 0; i < n; i++) ends[targets[i] + 1]++;
    for (i64 t = 0; t < count; t++) {
        ends[t + 1] += ends[t];
        heads[t] = ends[t];
    }
    for (i64 i = 0; i < n; i++) rows[heads[targets[i]]++] = i;
}

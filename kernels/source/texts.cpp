// Byte strings that lie in a heap by (start, length), and Arrow's, that lie one after the other by offsets.
#include "common.h"

// Where each string of `rows` will end, from 0 on; returns the total.
KERNEL i64 texts_offsets(const i64 *lengths, i64 n, i64 *offsets) {
    i64 total = 0;
    offsets[0] = 0;
    for (i64 i = 0; i < n; i++) {
        total += lengths[i];
        offsets[i + 1] = total;
    }
    return total;
}

// Copies strings out of a heap to where `offsets` say.
KERNEL void texts_gather(const u8 *heap, const i64 *starts, const i64 *offsets, i64 n, u8 *out) {
    for (i64 i = 0; i < n; i++) {
        if (i + AHEAD < n) PREFETCH(heap + starts[i + AHEAD]);
        copy_bytes(out + offsets[i], heap + starts[i], offsets[i + 1] - offsets[i]);
    }
}

// Whether strings of a heap, one for each of `rows`, are those of an Arrow array (32 or 64-bit offsets).
KERNEL void texts_equal(const u8 *heap, const i64 *starts, const i64 *lengths, const void *offsets, i64 large, const u8 *data,
                        const i64 *rows, i64 n, u8 *out) {
    for (i64 i = 0; i < n; i++) {
        i64 begin, end;
        if (large) {
            begin = ((const i64 *)offsets)[rows[i]];
            end = ((const i64 *)offsets)[rows[i] + 1];
        } else {
            begin = ((const i32 *)offsets)[rows[i]];
            end = ((const i32 *)offsets)[rows[i] + 1];
        }
        out[i] = end - begin == lengths[i] && (begin == end || memcmp(heap + starts[i], data + begin, (size_t)lengths[i]) == 0);
    }
}

// Strings with the bytes of a row of `tails` (each `width` long) behind each; a null (bits `valid`, 0 if there is none, from bit
// `first` on) stays empty.  The offsets; returns the bytes in all, or -1 if those are more than `limit`.
KERNEL i64 tails_offsets(const i32 *given, const u8 *valid, i64 first, i64 n, i64 width, i32 *offsets, i64 limit) {
    i64 total = 0;
    offsets[0] = 0;
    for (i64 i = 0; i < n; i++) {
        const i64 at = first + i;
        if (!valid || (valid[at >> 3] >> (at & 7)) & 1) total += (i64)given[i + 1] - given[i] + width;
        if (total > limit) return -1;
        offsets[i + 1] = (i32)total;
    }
    return total;
}

KERNEL void tails_append(const i32 *given, const u8 *data, const u8 *tails, i64 width, i64 n, const i32 *offsets, u8 *out) {
    for (i64 i = 0; i < n; i++) {
        const i64 length = (i64)offsets[i + 1] - offsets[i] - width;
        if (length < 0) continue;
        copy_bytes(out + offsets[i], data + given[i], length);
        copy_bytes(out + offsets[i] + length, tails + i * width, width);
    }
}

// Copies strings of a heap to places of `out`.
KERNEL void texts_put(const u8 *heap, const i64 *starts, const i64 *lengths, i64 n, const i64 *places, u8 *out) {
    for (i64 i = 0; i < n; i++) copy_bytes(out + places[i], heap + starts[i], lengths[i]);
}

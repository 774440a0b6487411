// Zigzag numbers of variable length, as Avro writes them: seven bits a byte, the lowest first, a set high bit if more follow.
#include "common.h"

enum { VARINT_BYTES = 10 };

// One number from each position; a row with `null` set has none, and its number is 0.  Each position moves behind its number.
// Reading stops at the end of the data.  `odd` is set for a number of more than 64 bits.
KERNEL void varints_read(const u8 *data, i64 size, i64 *at, i64 n, const u8 *null, u8 *odd, i64 *numbers) {
    for (i64 i = 0; i < n; i++) {
        numbers[i] = 0;
        if (null[i]) continue;
        const i64 begin = at[i];
        u64 raw = 0;
        i64 place = 0;
        for (; place < VARINT_BYTES; place++) {
            const i64 where = begin + place < size ? begin + place : size - 1;
            const u64 byte = data[where];
            raw |= (byte & 0x7F) << (7 * place);
            if (place == VARINT_BYTES - 1 && byte > 1) odd[i] = 1;
            if (byte < 0x80) break;
        }
        if (place == VARINT_BYTES) place--;
        at[i] = begin + place + 1;
        numbers[i] = (i64)((raw >> 1) ^ (0 - (raw & 1)));
    }
}

// Writes each number where `at` says, in `widths` bytes (0: nothing is written).
KERNEL void varints_write(const u64 *numbers, const i64 *widths, const i64 *at, i64 n, u8 *out) {
    for (i64 i = 0; i < n; i++) {
        u64 left = numbers[i];
        u8 *to = out + at[i];
        for (i64 place = 0; place < widths[i]; place++) {
            to[place] = (u8)((left & 0x7F) | (place + 1 < widths[i] ? 0x80 : 0));
            left >>= 7;
        }
    }
}

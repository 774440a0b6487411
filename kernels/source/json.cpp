// JSON objects of whole columns, one for each row: the pieces of text that are the same in every row, and between them values.
// A column is text that is JSON already (0), text to be quoted (1), or whole numbers of 8 bytes (2); null is `null`.
#include "common.h"

namespace {

struct Column {
    i64 kind;
    const u8 *data;      // the bytes of texts, or the numbers
    const i32 *offsets;  // of texts
    const u8 *valid;     // bits; 0 if nothing is null
    i64 first;           // the bit at which the rows begin
    const u8 *before;    // the text before the value
    i64 before_length;
};

inline bool is_null(const Column &c, i64 row) {
    if (!c.valid) return false;
    i64 at = c.first + row;
    return !((c.valid[at >> 3] >> (at & 7)) & 1);
}

inline u64 magnitude(i64 v) { return v < 0 ? 0 - (u64)v : (u64)v; }

const u64 POWERS[20] = {
    0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000, 10000000000, 100000000000, 1000000000000,
    10000000000000, 100000000000000, 1000000000000000, 10000000000000000, 100000000000000000, 1000000000000000000,
    10000000000000000000u};

// How many digits: 1233 / 4096 is the logarithm of 2 to the base 10, nearly.
inline i64 digits(u64 v) {
    i64 guess = ((64 - __builtin_clzll(v | 1)) * 1233) >> 12;
    return guess + (v >= POWERS[guess]);
}

const char PAIRS[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960"
    "616263646566676869707172737475767778798081828384858687888990919293949596979899";

// How many bytes a byte of a text takes between quotes.
inline i64 escaped(u8 c) {
    if (c == '"' || c == '\\') return 2;
    if (c >= 0x20) return 1;
    return c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t' ? 2 : 6;
}

inline u64 below(u64 v, u64 limit) { return (v - limit * 0x0101010101010101ull) & ~v & 0x8080808080808080ull; }

inline bool plain8(u64 v) {
    const u64 ones = 0x0101010101010101ull;
    return !(below(v, 0x20) | below(v ^ (ones * '"'), 1) | below(v ^ (ones * '\\'), 1));
}

inline i64 quoted_length(const u8 *p, i64 n) {
    i64 total = 2 + n, i = 0;
    for (; i + 8 <= n; i += 8)
        if (!plain8(load8(p + i)))
            for (i64 j = i; j < i + 8; j++) total += escaped(p[j]) - 1;
    for (; i < n; i++) total += escaped(p[i]) - 1;
    return total;
}

inline u8 *write_quoted(u8 *to, const u8 *p, i64 n, i64 length) {
    *to++ = '"';
    if (length == n + 2) {
        copy_bytes(to, p, n);
        to += n;
    } else {
        const char *hex = "0123456789abcdef";
        for (i64 i = 0; i < n; i++) {
            u8 c = p[i];
            if (escaped(c) == 1) {
                *to++ = c;
                continue;
            }
            *to++ = '\\';
            switch (c) {
                case '\b': *to++ = 'b'; break;
                case '\f': *to++ = 'f'; break;
                case '\n': *to++ = 'n'; break;
                case '\r': *to++ = 'r'; break;
                case '\t': *to++ = 't'; break;
                case '"':
                case '\\': *to++ = c; break;
                default:
                    memcpy(to, "u00", 3);
                    to[3] = (u8)hex[c >> 4];
                    to[4] = (u8)hex[c & 15];
                    to += 5;
            }
        }
    }
    *to++ = '"';
    return to;
}

inline u8 *write_number(u8 *to, i64 value) {
    u64 v = magnitude(value);
    if (value < 0) *to++ = '-';
    u8 *end = to + digits(v), *at = end;
    while (v >= 100) {
        at -= 2;
        memcpy(at, PAIRS + 2 * (v % 100), 2);
        v /= 100;
    }
    if (v >= 10)
        memcpy(at - 2, PAIRS + 2 * v, 2);
    else
        at[-1] = (u8)('0' + v);
    return end;
}

}  // namespace

// The offsets of the objects' texts; returns their bytes in all, or -1 if those are more than `limit`.
KERNEL i64 json_offsets(const Column *columns, i64 count, i64 n, i32 *out, i64 limit) {
    i64 total = 0, fixed = 1;
    for (i64 c = 0; c < count; c++) fixed += columns[c].before_length;
    out[0] = 0;
    for (i64 i = 0; i < n; i++) {
        total += fixed;
        for (i64 c = 0; c < count; c++) {
            const Column &column = columns[c];
            if (is_null(column, i)) {
                total += 4;
            } else if (column.kind == 2) {
                i64 v;
                memcpy(&v, column.data + 8 * i, 8);
                total += digits(magnitude(v)) + (v < 0);
            } else {
                i64 length = (i64)column.offsets[i + 1] - column.offsets[i];
                total += column.kind == 0 ? length : quoted_length(column.data + column.offsets[i], length);
            }
        }
        if (total > limit) return -1;
        out[i + 1] = (i32)total;
    }
    return total;
}

// The objects' texts, to where `json_offsets` said.
KERNEL void json_bytes(const Column *columns, i64 count, i64 n, u8 *out) {
    u8 *to = out;
    for (i64 i = 0; i < n; i++) {
        for (i64 c = 0; c < count; c++) {
            const Column &column = columns[c];
            copy_bytes(to, column.before, column.before_length);
            to += column.before_length;
            if (is_null(column, i)) {
                memcpy(to, "null", 4);
                to += 4;
            } else if (column.kind == 2) {
                i64 v;
                memcpy(&v, column.data + 8 * i, 8);
                to = write_number(to, v);
            } else {
                const u8 *p = column.data + column.offsets[i];
                i64 length = (i64)column.offsets[i + 1] - column.offsets[i];
                if (column.kind == 0) {
                    copy_bytes(to, p, length);
                    to += length;
                } else {
                    to = write_quoted(to, p, length, quoted_length(p, length));
                }
            }
        }
        *to++ = '}';
    }
}

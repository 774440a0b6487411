// Flat JSON objects with known keys to columns.  Whatever is not plain is refused: whoever calls reads such records by the rule.
// The records' bytes are valid UTF-8.
#include "common.h"

namespace {

enum Kind { SKIPPED = 0, INT64 = 1, INT32 = 2, DOUBLE = 3, BOOL = 4, STRING = 5 };

// A key, and the column that it stands for.
struct Field {
    const u8 *key;
    i64 key_length;
    i64 kind;
    void *out;      // numbers, a byte per bool, or the offsets of strings (n + 1 of 32 bits, the first is 0)
    u8 *octets;     // strings
    u8 *valid;      // a byte per row, all 0
    i64 row;        // the last row that had the key, + 1
    i64 nulls;
};

const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                         1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

inline const u8 *blanks(const u8 *p, const u8 *end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
    return p;
}

inline bool ends_value(const u8 *p, const u8 *end) {
    return p < end && (*p == ',' || *p == '}' || *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r');
}

// Past a string without escapes, whose opening quote is before `p`; its closing one is before what is returned.  0: refused.
inline const u8 *past_string(const u8 *p, const u8 *end) {
    const u64 ones = 0x0101010101010101ull, tops = 0x8080808080808080ull;
    for (;;) {
        while (p + 8 <= end) {  // eight bytes at a time, while none is a quote, a backslash or a control character
            const u64 v = load8(p), q = v ^ (ones * '"'), b = v ^ (ones * '\\');
            if ((((q - ones) & ~q) | ((b - ones) & ~b) | ((v - ones * 0x20) & ~v)) & tops) break;
            p += 8;
        }
        for (const u8 *stop = p + 8; p < stop; p++) {
            if (p >= end || *p == '\\' || *p < 0x20) return 0;
            if (*p == '"') return p + 1;
        }
    }
}

struct Number {
    u64 digits;     // all digits as one number, if there are at most 18
    int count;      // of significant digits
    int scale;      // digits behind the point
    bool negative;
    bool whole;     // no point, no exponent
};

// Past a number without an exponent.  0: refused.
inline const u8 *past_number(const u8 *p, const u8 *end, Number *number) {
    number->negative = p < end && *p == '-';
    if (number->negative) p++;
    u64 digits = 0;
    int count = 0, scale = 0;
    const u8 *first = p;
    while (p < end && *p >= '0' && *p <= '9') {
        digits = digits * 10 + (*p - '0');
        count += digits != 0;
        if (count > 18) return 0;
        p++;
    }
    if (p == first || (p - first > 1 && *first == '0')) return 0;
    number->whole = true;
    if (p < end && *p == '.') {
        number->whole = false;
        const u8 *point = ++p;
        while (p < end && *p >= '0' && *p <= '9') {
            digits = digits * 10 + (*p - '0');
            count += digits != 0;
            if (count > 18) return 0;
            p++;
        }
        if (p == point || p - point > 22) return 0;
        scale = (int)(p - point);
    }
    if (!ends_value(p, end) || (number->negative && digits == 0)) return 0;
    number->digits = digits;
    number->count = count;
    number->scale = scale;
    return p;
}

inline bool is_word(const u8 *p, const u8 *end, const char *word, i64 length) {
    return end - p > length && memcmp(p, word, (size_t)length) == 0 && ends_value(p + length, end);
}

// Past a value, which is stored in row `i`.  0: refused.
inline const u8 *store(Field &f, i64 i, const u8 *p, const u8 *end) {
    if (p >= end) return 0;
    if (is_word(p, end, "null", 4)) return p + 4;
    if (f.kind == STRING || (f.kind == SKIPPED && *p == '"')) {
        if (*p != '"') return 0;
        const u8 *stop = past_string(p + 1, end);
        if (stop && f.kind == STRING) {
            i32 *offsets = (i32 *)f.out;
            const i64 length = stop - p - 2;
            copy_bytes(f.octets + offsets[i], p + 1, length);
            offsets[i + 1] = offsets[i] + (i32)length;
            f.valid[i] = 1;
        }
        return stop;
    }
    const bool yes = is_word(p, end, "true", 4), no = !yes && is_word(p, end, "false", 5);
    if (f.kind == BOOL || yes || no) {
        if (!yes && !no) return 0;
        if (f.kind != BOOL && f.kind != SKIPPED) return 0;
        if (f.kind == BOOL) {
            ((u8 *)f.out)[i] = yes;
            f.valid[i] = 1;
        }
        return p + (yes ? 4 : 5);
    }
    Number number;
    const u8 *stop = past_number(p, end, &number);
    if (!stop || f.kind == SKIPPED) return stop;
    const i64 value = number.negative ? -(i64)number.digits : (i64)number.digits;
    if (f.kind == DOUBLE) {
        // Exact digits and an exact power of ten: one rounding, and thus the nearest double.
        if (number.count > 15) return 0;
        ((double *)f.out)[i] = (double)value / POWERS[number.scale];
    } else if (!number.whole) {
        return 0;
    } else if (f.kind == INT32) {
        if (value < INT32_MIN || value > INT32_MAX) return 0;
        ((i32 *)f.out)[i] = (i32)value;
    } else {
        ((i64 *)f.out)[i] = value;
    }
    f.valid[i] = 1;
    return stop;
}

}  // namespace

// Records `data[ends[i]] .. data[ends[i + 1]]` to columns, as far as all are plain objects with known keys, each at most once.
// Returns how many records were read: fewer than `n`, if one is refused.
KERNEL i64 json_rows(const u8 *data, const i32 *ends, i64 n, void *known, i64 count) {
    Field *fields = (Field *)known;
    for (i64 i = 0; i < n; i++) {
        const u8 *p = data + ends[i], *end = data + ends[i + 1];
        for (i64 f = 0; f < count; f++)
            if (fields[f].kind == STRING) ((i32 *)fields[f].out)[i + 1] = ((i32 *)fields[f].out)[i];
        p = blanks(p, end);
        if (p >= end || *p++ != '{') return i;
        p = blanks(p, end);
        i64 next = 0;  // keys mostly come in the order in which they came before
        if (p < end && *p == '}') {
            p++;
        } else {
            for (;;) {
                if (p >= end || *p++ != '"') return i;
                i64 tried = 0;
                for (; tried < count; tried++, next = next + 1 == count ? 0 : next + 1) {
                    const Field &f = fields[next];
                    if (end - p > f.key_length && p[f.key_length] == '"' && memcmp(p, f.key, (size_t)f.key_length) == 0) break;
                }
                if (tried == count) return i;
                Field &f = fields[next];
                if (f.row == i + 1) return i;  // twice
                f.row = i + 1;
                next = next + 1 == count ? 0 : next + 1;
                p = blanks(p + f.key_length + 1, end);
                if (p >= end || *p++ != ':') return i;
                p = store(f, i, blanks(p, end), end);
                if (!p) return i;
                p = blanks(p, end);
                if (p >= end) return i;
                if (*p == '}') {
                    p++;
                    break;
                }
                if (*p++ != ',') return i;
                p = blanks(p, end);
            }
        }
        if (blanks(p, end) != end) return i;
        for (i64 f = 0; f < count; f++)
            if (fields[f].kind != SKIPPED) fields[f].nulls += !fields[f].valid[i];
    }
    return n;
}

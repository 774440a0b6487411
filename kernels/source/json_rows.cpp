// Flat JSON objects with known keys to columns.  Whatever is not plain is refused: whoever calls reads such records by the rule.
#include "common.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace {

enum Kind { SKIPPED = 0, INT64 = 1, INT32 = 2, DOUBLE = 3, BOOL = 4, STRING = 5 };

// A key, and the column that it stands for.
struct Field {
    const u8 *key;
    i64 key_length;
    i64 kind;
    void *out;      // numbers, a byte per bool, or the offsets of strings (n + 1 of 32 bits, the first is 0); 0: only looked at
    u8 *octets;     // strings
    i64 capacity;   // of `octets`
    u8 *valid;      // a byte per row, all 0
    i64 row;        // the last row that had the key, + 1
    i64 nulls;
    u64 head;       // the key's first eight bytes, or, if it has fewer, the key and the quote behind it
    u64 head_mask;
};

const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                         1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

inline const u8 *blanks(const u8 *p, const u8 *end) {
    while (p < end && *p <= ' ' && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;  // mostly there is none
    return p;
}

inline bool ends_value(const u8 *p, const u8 *end) {
    return p < end && (*p == ',' || *p == '}' || blanks(p, p + 1) > p);
}

// Past a string without escapes, whose opening quote is before `p`; its closing one is before what is returned.  0: refused.
// `wide` is set if it has anything but ASCII.  What lies before `limit` can be looked at.
inline const u8 *past_string(const u8 *p, const u8 *end, const u8 *limit, bool *wide) {
    bool tops_seen = false;
#if defined(__SSE2__)
    const __m128i quotes = _mm_set1_epi8('"'), slashes = _mm_set1_epi8('\\'), last_control = _mm_set1_epi8(0x1F);
    while (p + 16 <= limit) {  // 16 bytes at a time, while none is a quote, a backslash or a control character
        const __m128i v = _mm_loadu_si128((const __m128i *)p);
        const __m128i odd = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quotes), _mm_cmpeq_epi8(v, slashes)),
                                         _mm_cmpeq_epi8(_mm_min_epu8(v, last_control), v));
        const u32 found = (u32)_mm_movemask_epi8(odd), tops = (u32)_mm_movemask_epi8(v);
        if (found) {
            const int at = __builtin_ctz(found);
            tops_seen |= (tops & ((1u << at) - 1)) != 0;
            if (p[at] != '"' || p + at >= end) return 0;
            *wide |= tops_seen;
            return p + at + 1;
        }
        tops_seen |= tops != 0;
        p += 16;
        if (p >= end) return 0;
    }
#else
    const u64 ones = 0x0101010101010101ull, tops = 0x8080808080808080ull;
    while (p + 8 <= end) {  // eight bytes at a time, in the same way
        const u64 v = load8(p), q = v ^ (ones * '"'), b = v ^ (ones * '\\');
        if ((((q - ones) & ~q) | ((b - ones) & ~b) | ((v - ones * 0x20) & ~v)) & tops) break;
        tops_seen |= (v & tops) != 0;
        p += 8;
    }
#endif
    for (; p < end; p++) {
        if (*p == '\\' || *p < 0x20) return 0;
        tops_seen |= *p >= 0x80;
        if (*p == '"') {
            *wide |= tops_seen;
            return p + 1;
        }
    }
    return 0;
}

// Whether bytes are UTF-8: shortest forms, no surrogates, nothing above U+10FFFF.
inline bool is_utf8(const u8 *p, const u8 *end) {
    while (p < end) {
        if (end - p >= 8 && !(load8(p) & 0x8080808080808080ull)) {
            p += 8;
            continue;
        }
        const u32 c = *p;
        if (c < 0x80) {
            p++;
            continue;
        }
        const int more = c >= 0xC2 && c < 0xE0 ? 1 : c >= 0xE0 && c < 0xF0 ? 2 : c >= 0xF0 && c < 0xF5 ? 3 : 0;
        if (more == 0 || end - p <= more) return false;
        for (int k = 1; k <= more; k++)
            if ((p[k] & 0xC0) != 0x80) return false;
        if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F) || (c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F))
            return false;
        p += more + 1;
    }
    return true;
}

struct Number {
    u64 digits;     // all digits as one number, if there are at most 18
    int count;      // of significant digits
    int scale;      // digits behind the point
    bool negative;
    bool whole;     // no point, no exponent
};

// Eight digits as a number, the first one in the lowest byte; false: not all are digits.
inline bool eight_digits(u64 v, u64 *number) {
    if (((v & 0xF0F0F0F0F0F0F0F0ull) | (((v + 0x0606060606060606ull) & 0xF0F0F0F0F0F0F0F0ull) >> 4)) != 0x3333333333333333ull)
        return false;
    v = (v & 0x0F0F0F0F0F0F0F0Full) * 2561 >> 8;
    v = (v & 0x00FF00FF00FF00FFull) * 6553601 >> 16;
    *number = (v & 0x0000FFFF0000FFFFull) * 42949672960001ull >> 32;
    return true;
}

// Past a number without an exponent.  0: refused.
inline const u8 *past_number(const u8 *p, const u8 *end, Number *number) {
    number->negative = p < end && *p == '-';
    if (number->negative) p++;
    u64 digits = 0, eight;
    int scale = 0;
    const u8 *first = p;
    if (end - p >= 8 && eight_digits(load8(p), &eight)) {
        digits = eight;
        p += 8;
    }
    while (p < end && *p >= '0' && *p <= '9') {
        digits = digits * 10 + (*p - '0');
        if (++p - first > 18) return 0;
    }
    if (p == first || (p - first > 1 && *first == '0')) return 0;
    int count = digits == 0 ? 0 : (int)(p - first);
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

// Past a value, which is stored in row `i` if its column is wanted.  0: refused, or there is no room for it.
inline const u8 *store(Field &f, i64 i, const u8 *p, const u8 *end, const u8 *limit, bool *wide) {
    if (p >= end) return 0;
    const u8 first = *p;
    if (first == '"') {
        if (f.kind != STRING && f.kind != SKIPPED) return 0;
        const u8 *stop = past_string(p + 1, end, limit, wide);
        if (stop && f.out) {
            i32 *offsets = (i32 *)f.out;
            const i64 length = stop - p - 2;
            if (offsets[i] + length > f.capacity) return 0;
            copy_bytes(f.octets + offsets[i], p + 1, length);
            offsets[i + 1] = offsets[i] + (i32)length;
            f.valid[i] = 1;
        }
        return stop;
    }
    if (first == 'n') return is_word(p, end, "null", 4) ? p + 4 : 0;
    if (first == 't' || first == 'f') {
        const bool yes = is_word(p, end, "true", 4);
        if ((!yes && !is_word(p, end, "false", 5)) || (f.kind != BOOL && f.kind != SKIPPED)) return 0;
        if (f.out) {
            ((u8 *)f.out)[i] = yes;
            f.valid[i] = 1;
        }
        return p + (yes ? 4 : 5);
    }
    if (f.kind == STRING || f.kind == BOOL) return 0;
    Number number;
    const u8 *stop = past_number(p, end, &number);
    if (!stop || f.kind == SKIPPED) return stop;
    const i64 value = number.negative ? -(i64)number.digits : (i64)number.digits;
    if (f.kind == DOUBLE) {
        // Exact digits and an exact power of ten: one rounding, and thus the nearest double.
        if (number.count > 15) return 0;
        if (f.out) ((double *)f.out)[i] = (double)value / POWERS[number.scale];
    } else if (!number.whole) {
        return 0;
    } else if (f.kind == INT32) {
        if (value < INT32_MIN || value > INT32_MAX) return 0;
        if (f.out) ((i32 *)f.out)[i] = (i32)value;
    } else if (f.out) {
        ((i64 *)f.out)[i] = value;
    }
    if (f.out) f.valid[i] = 1;
    return stop;
}

// Whether the field's key and the quote behind it stand at `p`.
inline bool is_key(const Field &f, const u8 *p, const u8 *end) {
    if (end - p <= f.key_length) return false;
    if (end - p < 8) return p[f.key_length] == '"' && memcmp(p, f.key, (size_t)f.key_length) == 0;
    if ((load8(p) & f.head_mask) != f.head) return false;
    return f.key_length < 8 || (p[f.key_length] == '"' && memcmp(p + 8, f.key + 8, (size_t)(f.key_length - 8)) == 0);
}

}  // namespace

// Records `data[ends[i]] .. data[ends[i + 1]]` to columns, as far as all are plain objects with known keys, each at most once,
// in valid UTF-8.  Returns how many records were read: fewer than `n`, if one is refused or there is no room for it.
KERNEL i64 json_rows(const u8 *data, const i32 *ends, i64 n, void *known, i64 count) {
    Field *fields = (Field *)known;
    const u8 *limit = data + ends[n];
    for (i64 f = 0; f < count; f++) {
        Field &field = fields[f];
        u8 head[8] = {0}, mask[8] = {0};
        for (i64 k = 0; k < 8 && k <= field.key_length; k++) {
            head[k] = k < field.key_length ? field.key[k] : '"';
            mask[k] = 0xFF;
        }
        field.head = load8(head);
        field.head_mask = load8(mask);
    }
    for (i64 i = 0; i < n; i++) {
        const u8 *first = data + ends[i], *p = first, *end = data + ends[i + 1];
        bool wide = false;
        for (i64 f = 0; f < count; f++)
            if (fields[f].kind == STRING && fields[f].out) ((i32 *)fields[f].out)[i + 1] = ((i32 *)fields[f].out)[i];
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
                for (; tried < count; tried++, next = next + 1 == count ? 0 : next + 1)
                    if (is_key(fields[next], p, end)) break;
                if (tried == count) return i;
                Field &f = fields[next];
                if (f.row == i + 1) return i;  // twice
                f.row = i + 1;
                next = next + 1 == count ? 0 : next + 1;
                p = blanks(p + f.key_length + 1, end);
                if (p >= end || *p++ != ':') return i;
                p = store(f, i, blanks(p, end), end, limit, &wide);
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
        if (wide && !is_utf8(first, end)) return i;
        for (i64 f = 0; f < count; f++)
            if (fields[f].out) fields[f].nulls += !fields[f].valid[i];
    }
    return n;
}

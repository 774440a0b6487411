// Kafka's partition of a key: murmur2 of its bytes, made positive, modulo the number of partitions.
#include "common.h"

namespace {

inline u32 murmur2(const u8 *p, i64 length) {
    const u32 m = 0x5bd1e995;
    u32 h = 0x9747b28cu ^ (u32)length;
    for (; length >= 4; length -= 4, p += 4) {
        u32 k = load4(p);
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    switch (length) {
        case 3: h ^= (u32)p[2] << 16;  // fall through
        case 2: h ^= (u32)p[1] << 8;   // fall through
        case 1:
            h ^= p[0];
            h *= m;
    }
    h ^= h >> 13;
    h *= m;
    return h ^ (h >> 15);
}

}  // namespace

// The hash of each key; what stands in a row that is null has no meaning.
KERNEL void murmur2_keys(const void *offsets, i64 large, const u8 *data, i64 n, u32 *out) {
    for (i64 i = 0; i < n; i++) {
        i64 begin = large ? ((const i64 *)offsets)[i] : ((const i32 *)offsets)[i];
        i64 end = large ? ((const i64 *)offsets)[i + 1] : ((const i32 *)offsets)[i + 1];
        out[i] = murmur2(data + begin, end - begin);
    }
}

// What all kernels share.  A kernel is a C function over arrays that the caller owns; it keeps nothing between calls,
// allocates nothing, and never sees Python.  Lengths and bounds are checked by the caller (kernels/library.py).
#pragma once
#include <stdint.h>
#include <string.h>

typedef int64_t i64;
typedef uint64_t u64;
typedef int32_t i32;
typedef uint32_t u32;
typedef uint8_t u8;

#if defined(_WIN32)
#define KERNEL extern "C" __declspec(dllexport)
#else
#define KERNEL extern "C" __attribute__((visibility("default")))
#endif

#define PREFETCH(p) __builtin_prefetch((const void *)(p))
#define PREFETCH_WRITE(p) __builtin_prefetch((const void *)(p), 1)

// How far ahead rows are asked for from memory.
enum { AHEAD = 16 };

static inline u64 load8(const u8 *p) {
    u64 v;
    memcpy(&v, p, 8);
    return v;
}

static inline u32 load4(const u8 *p) {
    u32 v;
    memcpy(&v, p, 4);
    return v;
}

// Copies short runs without a call.
static inline void copy_bytes(u8 *to, const u8 *from, i64 n) {
    if (n >= 16) {
        i64 i = 0;
        for (; i + 16 <= n; i += 16) memcpy(to + i, from + i, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        u64 a = load8(from), b = load8(from + n - 8);
        memcpy(to, &a, 8);
        memcpy(to + n - 8, &b, 8);
    } else if (n >= 4) {
        u32 a = load4(from), b = load4(from + n - 4);
        memcpy(to, &a, 4);
        memcpy(to + n - 4, &b, 4);
    } else if (n > 0) {
        to[0] = from[0];
        to[n >> 1] = from[n >> 1];
        to[n - 1] = from[n - 1];
    }
}

// ---- hashing: multiply and fold, as in wyhash

static inline u64 multiply_fold(u64 a, u64 b) {
    __uint128_t r = (__uint128_t)a * b;
    return (u64)r ^ (u64)(r >> 64);
}

static inline u64 mix(u64 h) {
    h *= 0x9E3779B97F4A7C15ull;
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93ull;
    return h ^ (h >> 32);
}

static inline u64 hash_bytes(const u8 *p, i64 n) {
    const u64 s0 = 0xA0761D6478BD642Full, s1 = 0xE7037ED1A0B428DBull;
    u64 seed = s0 ^ (u64)n;
    if (n <= 16) {
        u64 a = 0, b = 0;
        if (n >= 8) {
            a = load8(p);
            b = load8(p + n - 8);
        } else if (n >= 4) {
            a = load4(p);
            b = load4(p + n - 4);
        } else if (n > 0) {
            a = ((u64)p[0] << 16) | ((u64)p[n >> 1] << 8) | p[n - 1];
        }
        return multiply_fold(a ^ s1, b ^ seed);
    }
    i64 left = n;
    for (; left > 16; left -= 16, p += 16) seed = multiply_fold(load8(p) ^ s1, load8(p + 8) ^ seed);
    return multiply_fold(load8(p + left - 16) ^ s1, load8(p + left - 8) ^ seed) ^ (u64)n;
}

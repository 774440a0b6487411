// The records of Kafka's record batches (format 2) as columns, and back.
//
// A record is: length varint, attributes int8, timestamp delta varlong, offset delta varint, key length varint (-1: null),
// key, value length varint (-1: null), value, header count varint, then per header: name length varint, name, value length
// varint (-1: null), value.  Varints are zigzag, base 128.  Nothing is allocated here: all memory is the caller's.

#include "common.h"

namespace {

// A reader that never goes beyond `end`; after a mistake `ok` is false and every read gives 0.
struct Reader {
    const uint8_t *at;
    const uint8_t *end;
    bool ok = true;

    int64_t varlong() {
        uint64_t value = 0;
        for (int shift = 0; shift < 70; shift += 7) {
            if (at >= end) break;
            uint8_t byte = *at++;
            value |= static_cast<uint64_t>(byte & 0x7f) << (shift < 64 ? shift : 63);
            if (byte < 0x80) return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
        }
        ok = false;
        return 0;
    }

    // A length of bytes that follow: -1 for null, else at most what is left.
    int64_t length(bool nullable) {
        int64_t n = varlong();
        if (n < (nullable ? -1 : 0) || n > end - at) ok = false;
        return ok ? n : 0;
    }
};

struct Writer {
    uint8_t *at;

    void varlong(int64_t value) {
        uint64_t rest = (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
        while (rest >= 0x80) {
            *at++ = static_cast<uint8_t>(rest) | 0x80;
            rest >>= 7;
        }
        *at++ = static_cast<uint8_t>(rest);
    }

    void bytes(const uint8_t *data, int64_t size) {
        if (size) memcpy(at, data, static_cast<size_t>(size));
        at += size;
    }
};

int varlong_size(int64_t value) {
    uint64_t rest = (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
    int size = 1;
    while (rest >= 0x80) {
        rest >>= 7;
        size++;
    }
    return size;
}

bool is_valid(const uint8_t *bitmap, int64_t i) { return bitmap == nullptr || (bitmap[i >> 3] >> (i & 7)) & 1; }

}  // namespace

// Reads n records.
//
// timestamps, offsets: int64[n], the deltas.  key_offsets, value_offsets: int32[n + 1]; key_data, value_data: as large as the
// input at least.  key_valid, value_valid: uint8[n], 1 or 0.  header_ends: int32[n + 1], how many headers come before each
// record.  totals: int64[2], headers and keys that are not null.
//
// Returns 0, or 1 + the number of the record that is malformed (n + 1: bytes behind the last one).
KERNEL int64_t kafka_records_decode(const uint8_t *data, int64_t size, int64_t n, int64_t *timestamps, int64_t *offsets,
                               int32_t *key_offsets, uint8_t *key_data, uint8_t *key_valid, int32_t *value_offsets,
                               uint8_t *value_data, uint8_t *value_valid, int32_t *header_ends, int64_t *totals) {
    const uint8_t *at = data, *end = data + size;
    int64_t keys = 0, values = 0, headers = 0, keyed = 0;
    key_offsets[0] = value_offsets[0] = header_ends[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        Reader outer{at, end};
        int64_t length = outer.length(false);
        if (!outer.ok || length < 1) return i + 1;
        Reader in{outer.at + 1, outer.at + length};  // behind the attributes, of which none is used
        timestamps[i] = in.varlong();
        offsets[i] = in.varlong();
        int64_t key = in.length(true);
        if (!in.ok) return i + 1;
        if (key > 0) memcpy(key_data + keys, in.at, static_cast<size_t>(key));
        key_valid[i] = key >= 0;
        keyed += key >= 0;
        if (key > 0) {
            keys += key;
            in.at += key;
        }
        int64_t value = in.length(true);
        if (!in.ok) return i + 1;
        if (value > 0) memcpy(value_data + values, in.at, static_cast<size_t>(value));
        value_valid[i] = value >= 0;
        if (value > 0) {
            values += value;
            in.at += value;
        }
        int64_t count = in.varlong();
        if (!in.ok || count < 0 || count > in.end - in.at) return i + 1;
        for (int64_t h = 0; h < count; h++) {
            in.at += in.length(false);
            int64_t part = in.length(true);
            if (!in.ok) return i + 1;
            if (part > 0) in.at += part;
        }
        if (!in.ok || in.at != in.end) return i + 1;
        headers += count;
        key_offsets[i + 1] = static_cast<int32_t>(keys);
        value_offsets[i + 1] = static_cast<int32_t>(values);
        header_ends[i + 1] = static_cast<int32_t>(headers);
        at = in.end;
    }
    totals[0] = headers;
    totals[1] = keyed;
    return at == end ? 0 : n + 1;
}

// Reads the headers of n records that kafka_records_decode has found to be well formed.
//
// name_offsets, value_offsets: int32[headers + 1]; name_data, value_data: as large as the input; value_valid: uint8[headers].
KERNEL void kafka_records_decode_headers(const uint8_t *data, int64_t size, int64_t n, int32_t *name_offsets, uint8_t *name_data,
                                    int32_t *value_offsets, uint8_t *value_data, uint8_t *value_valid) {
    const uint8_t *at = data, *end = data + size;
    int64_t names = 0, values = 0, h = 0;
    name_offsets[0] = value_offsets[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        Reader outer{at, end};
        int64_t length = outer.length(false);
        Reader in{outer.at + 1, outer.at + length};
        in.varlong();
        in.varlong();
        for (int part = 0; part < 2; part++) {
            int64_t skip = in.length(true);
            if (skip > 0) in.at += skip;
        }
        int64_t count = in.varlong();
        for (int64_t k = 0; k < count; k++, h++) {
            int64_t name = in.length(false);
            if (name) memcpy(name_data + names, in.at, static_cast<size_t>(name));
            names += name;
            in.at += name;
            int64_t value = in.length(true);
            value_valid[h] = value >= 0;
            if (value > 0) {
                memcpy(value_data + values, in.at, static_cast<size_t>(value));
                values += value;
                in.at += value;
            }
            name_offsets[h + 1] = static_cast<int32_t>(names);
            value_offsets[h + 1] = static_cast<int32_t>(values);
        }
        at = outer.at + length;
    }
}

// Writes n records; returns how many bytes they take.  With out == nullptr nothing is written, only counted.
//
// timestamps, offsets: int64[n], deltas.  Offsets are int32[n + 1] into the data beside them (not necessarily from 0 on); a
// validity bitmap has Arrow's bit order, begins at bit `.._first`, and may be null: all are there.  key_offsets == nullptr: no
// record has a key.  header_offsets == nullptr: no record has headers.
KERNEL int64_t kafka_records_encode(int64_t n, const int64_t *timestamps, const int64_t *offsets, const int32_t *key_offsets,
                               const uint8_t *key_data, const uint8_t *key_valid, int64_t key_first,
                               const int32_t *value_offsets, const uint8_t *value_data, const uint8_t *value_valid,
                               int64_t value_first, const int32_t *header_offsets, const int32_t *name_offsets,
                               const uint8_t *name_data, const int32_t *part_offsets, const uint8_t *part_data,
                               const uint8_t *part_valid, int64_t part_first, uint8_t *out) {
    Writer w{out};
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        bool has_key = key_offsets != nullptr && is_valid(key_valid, key_first + i);
        bool has_value = is_valid(value_valid, value_first + i);
        int64_t key = has_key ? key_offsets[i + 1] - key_offsets[i] : -1;
        int64_t value = has_value ? value_offsets[i + 1] - value_offsets[i] : -1;
        int32_t first = header_offsets ? header_offsets[i] : 0, last = header_offsets ? header_offsets[i + 1] : 0;
        int64_t length = 1 + varlong_size(timestamps[i]) + varlong_size(offsets[i]) + varlong_size(key) + (key > 0 ? key : 0) +
                         varlong_size(value) + (value > 0 ? value : 0) + varlong_size(last - first);
        for (int32_t h = first; h < last; h++) {
            int64_t name = name_offsets[h + 1] - name_offsets[h];
            int64_t part = is_valid(part_valid, part_first + h) ? part_offsets[h + 1] - part_offsets[h] : -1;
            length += varlong_size(name) + name + varlong_size(part) + (part > 0 ? part : 0);
        }
        total += varlong_size(length) + length;
        if (out == nullptr) continue;
        w.varlong(length);
        *w.at++ = 0;
        w.varlong(timestamps[i]);
        w.varlong(offsets[i]);
        w.varlong(key);
        if (key > 0) w.bytes(key_data + key_offsets[i], key);
        w.varlong(value);
        if (value > 0) w.bytes(value_data + value_offsets[i], value);
        w.varlong(last - first);
        for (int32_t h = first; h < last; h++) {
            int64_t name = name_offsets[h + 1] - name_offsets[h];
            int64_t part = is_valid(part_valid, part_first + h) ? part_offsets[h + 1] - part_offsets[h] : -1;
            w.varlong(name);
            w.bytes(name_data + name_offsets[h], name);
            w.varlong(part);
            if (part > 0) w.bytes(part_data + part_offsets[h], part);
        }
    }
    return total;
}

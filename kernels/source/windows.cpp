// Which tumbling window each row belongs to, and whether that still takes rows.
#include "common.h"

// In processing order: the start of each row's window to `starts`, until a row comes that is late (its window is closed at the
// stream time that includes the row) or from before the epoch.  `latest` is the stream time before these rows.  Returns how
// many rows there are before that one.
KERNEL i64 tumbling_starts(const i64 *timestamps, i64 n, i64 size_ms, i64 grace_ms, i64 latest, i64 *starts) {
    i64 start = 0, i = 0;
    for (; i < n; i++) {
        const i64 t = timestamps[i];
        if (t < 0) break;
        if (t < start || t - start >= size_ms) start = t - t % size_ms;  // rows of one window come together, mostly
        const i64 now = t > latest ? t : latest;
        if ((i64)((u64)start + (u64)size_ms) <= (i64)((u64)now - (u64)grace_ms)) break;
        latest = now;
        starts[i] = start;
    }
    return i;
}

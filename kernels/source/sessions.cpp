// Which session each row belongs to, in processing order, for groups whose rows only extend their latest session or begin later ones.
#include "common.h"

// `starts` and `ends` have for each group the bounds of its latest session, or bounds before all times.  `hidden_until`, by row:
// sessions that end at or before it cannot be joined.  `times`: stream time after each row.  A group with a row that reaches back,
// or whose session is hidden or closed, is marked in `other`, and none of its rows counts.
//
// `current` (groups) is scratch of two numbers each.  Of each row: `ordinals`, its session's number in its group.  Of each group:
// `counts`, how many sessions its rows make.
KERNEL void session_rows(const i64 *groups, const i64 *timestamps, const i64 *times, const i64 *hidden_until, i64 n, i64 count,
                         const i64 *starts, const i64 *ends, i64 gap, i64 open, i64 *current, i64 *ordinals, u8 *begins,
                         i64 *ends_before, i64 *ends_after, i64 *counts, u8 *other) {
    for (i64 g = 0; g < count; g++) {
        current[2 * g] = starts[g];
        current[2 * g + 1] = ends[g];
        counts[g] = 0;
        other[g] = 0;
    }
    for (i64 i = 0; i < n; i++) {
        i64 g = groups[i], t = timestamps[i];
        i64 *start = current + 2 * g, *end = start + 1;
        i64 before = *end, after = t > before ? t : before;
        bool touches = t <= before + gap;
        bool careful = (touches && (t < *start || before <= hidden_until[i])) || after < times[i] - open;
        other[g] |= (u8)careful;
        begins[i] = !touches;
        ends_before[i] = before;
        ends_after[i] = after;
        if (!touches || counts[g] == 0) counts[g]++;
        ordinals[i] = counts[g] - 1;
        if (!touches) *start = t;
        *end = after;
    }
}

// The rows that count, and the sessions, numbered by group and then by time: `bases` has the number of each group's first one, -1
// for groups that do not count.  `ordinals`, `begins`, `ends_before` and `ends_after` are from `session_rows`; they and `rows` then
// hold those of the rows that count, `ordinals` their sessions' numbers.  Returns how many rows.
KERNEL i64 session_bounds(const i64 *groups, const i64 *timestamps, i64 n, const i64 *bases, const i64 *starts, i64 nowhere, i64 *rows,
                          i64 *ordinals, u8 *begins, i64 *ends_before, i64 *ends_after, i64 *session_groups, i64 *session_starts,
                          i64 *session_ends, i64 *first_ends, u8 *continues) {
    i64 kept = 0;
    for (i64 i = 0; i < n; i++) {
        i64 g = groups[i];
        if (bases[g] < 0) continue;
        i64 s = bases[g] + ordinals[i];
        if (session_groups[s] < 0) {
            session_groups[s] = g;
            continues[s] = !begins[i];
            session_starts[s] = begins[i] ? timestamps[i] : starts[g];
            first_ends[s] = begins[i] ? nowhere : ends_before[i];
        }
        session_ends[s] = ends_after[i];
        rows[kept] = i;
        ordinals[kept] = s;
        begins[kept] = begins[i];
        ends_before[kept] = ends_before[i];
        ends_after[kept] = ends_after[i];
        kept++;
    }
    return kept;
}

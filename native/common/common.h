/* Types that every kernel shares. Included by the public kernel headers and read by cffi, so
 * this file holds declarations only: no inline code, no macros besides integer constants. */
#ifndef GHOST_COMMON_H
#define GHOST_COMMON_H

#include <stddef.h>
#include <stdint.h>

/* Outcome of a call into the native core. Zero is success; bad data is never an assertion. */
enum ghost_status {
    GHOST_OK = 0,
    GHOST_MALFORMED = 1,      /* the bytes break their format; a reason code stands beside it */
    GHOST_LIMIT = 2,          /* a stated bound would be exceeded */
    GHOST_MISSING = 3,        /* something asked of a loader is not there but must be */
    GHOST_LOADER_FAILED = 4,  /* a loader callback raised; the door re-raises what it kept */
    GHOST_OUT_OF_MEMORY = 5,
    GHOST_REFUSED = 6,        /* well-formed but against the rules; a reason stands beside it */
    GHOST_STOPPED = 7         /* somebody asked for it to stop, or its time was over */
};

/* Bytes owned by the native core. Freed by the owner named at each function. */
typedef struct ghost_bytes {
    uint8_t *data;
    size_t length;
} ghost_bytes;

/* A borrowed view of bytes. */
typedef struct ghost_view {
    const uint8_t *data;
    size_t length;
} ghost_view;

#endif

/* JSON as it is written: hexadecimal of both kinds. Every writer returns where it ended; the caller
 * has made room. */
#ifndef GHOST_READS_TEXT_H
#define GHOST_READS_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint8_t *put_bytes(uint8_t *out, const void *bytes, size_t length) {
    memcpy(out, bytes, length);
    return out + length;
}

#define PUT_TEXT(out, text) put_bytes((out), (text), sizeof(text) - 1)

/* Data: two digits a byte, 0x and quotes around them. */
static inline uint8_t *put_data(uint8_t *out, const uint8_t *data, size_t length) {
    static const char digits[] = "0123456789abcdef";
    out = PUT_TEXT(out, "\"0x");
    for (size_t i = 0; i < length; i++) {
        *out++ = (uint8_t)digits[data[i] >> 4];
        *out++ = (uint8_t)digits[data[i] & 15];
    }
    *out++ = '"';
    return out;
}

/* A quantity of big-endian bytes: no leading zeros, one digit at least. */
static inline uint8_t *put_quantity(uint8_t *out, const uint8_t *number, size_t length) {
    static const char digits[] = "0123456789abcdef";
    out = PUT_TEXT(out, "\"0x");
    size_t nibble = 0, count = 2 * length;
    while (nibble + 1 < count && (number[nibble / 2] >> (nibble % 2 ? 0 : 4) & 15) == 0) {
        nibble++;
    }
    for (; nibble < count; nibble++) {
        *out++ = (uint8_t)digits[number[nibble / 2] >> (nibble % 2 ? 0 : 4) & 15];
    }
    *out++ = '"';
    return out;
}

static inline uint8_t *put_quantity_64(uint8_t *out, uint64_t number) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    }
    return put_quantity(out, bytes, sizeof bytes);
}

#endif

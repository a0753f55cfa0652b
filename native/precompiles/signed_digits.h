/* Scalars as signed odd digits (width-w non-adjacent form), for sums of multiples of points. */
#ifndef GHOST_PRECOMPILES_SIGNED_DIGITS_H
#define GHOST_PRECOMPILES_SIGNED_DIGITS_H

#include "../common/u256.h"

/* Digits of a 256-bit scalar, one more than its bits because a digit may carry. */
#define DIGITS_MAX 257

/* Writes digits with scalar = sum of digits[i] * 2^i, each zero or odd and below 2^(width - 1) in
 * size, at least width - 1 zeros after each that is not zero. Returns how many to look at. */
static inline int signed_digits(int8_t digits[DIGITS_MAX], const u256 *scalar, int width) {
    uint64_t words[5] = {scalar->limbs[0], scalar->limbs[1], scalar->limbs[2], scalar->limbs[3]};
    int count = 0;
    unsigned carry = 0;
    memset(digits, 0, DIGITS_MAX);
    for (int bit = 0; bit < DIGITS_MAX;) {
        unsigned here = (words[bit / 64] >> (bit % 64)) & 1;
        if (here == carry) { /* 0 without a carry, or 1 with one: a zero digit, carry as before */
            bit++;
            continue;
        }
        uint64_t window = words[bit / 64] >> (bit % 64);
        if (bit % 64 != 0 && bit / 64 < 4) window |= words[bit / 64 + 1] << (64 - bit % 64);
        int digit = (int)(window & ((1u << width) - 1)) + (int)carry;
        carry = digit >= 1 << (width - 1);
        digits[bit] = (int8_t)(digit - (int)(carry << width));
        count = bit + 1;
        bit += width;
    }
    return count;
}

#endif

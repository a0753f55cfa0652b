/* Division, and what rests on it. Most operands of contracts fit one or two words, so the quotient
 * is found by the shortest way that the lengths of the operands allow. */
/* The words of a stack are written limb by limb and soon read again: moving them through vector
 * registers would wait for the store buffer each time. */
#if defined(__x86_64__)
#pragma GCC target("general-regs-only")
#endif

#include "u256.h"

enum { WORDS_MAX = 9 };   /* a product of 512 bits and the word that normalising shifts out */

/* (high:low) / divisor for high < divisor. */
static inline uint64_t divide_step(uint64_t *remainder, uint64_t high, uint64_t low,
                                   uint64_t divisor) {
#if defined(__x86_64__)
    uint64_t quotient;
    __asm__("divq %4"
            : "=a"(quotient), "=d"(*remainder)
            : "0"(low), "1"(high), "rm"(divisor)
            : "cc");
    return quotient;
#else
    unsigned __int128 numerator = ((unsigned __int128)high << 64) | low;
    *remainder = (uint64_t)(numerator % divisor);
    return (uint64_t)(numerator / divisor);
#endif
}

static inline unsigned significant_words(const uint64_t *words, unsigned count) {
    while (count > 0 && words[count - 1] == 0)
        count--;
    return count;
}

/* floor((2^128 - 1) / divisor) - 2^64, for a divisor whose top bit is set. */
static inline uint64_t reciprocal_of_word(uint64_t divisor) {
    uint64_t remainder;
    return divide_step(&remainder, ~divisor, UINT64_MAX, divisor);
}

/* floor((2^192 - 1) / (high:low)) - 2^64. Moller and Granlund, "Improved division by invariant
 * integers", algorithm 6. */
static inline uint64_t reciprocal_of_two(uint64_t high, uint64_t low) {
    uint64_t reciprocal = reciprocal_of_word(high);
    uint64_t product = high * reciprocal + low;
    if (product < low) {
        reciprocal--;
        if (product >= high) {
            reciprocal--;
            product -= high;
        }
        product -= high;
    }
    unsigned __int128 wide = (unsigned __int128)reciprocal * low;
    product += (uint64_t)(wide >> 64);
    if (product < (uint64_t)(wide >> 64)) {
        reciprocal--;
        if (product > high || (product == high && (uint64_t)wide >= low))
            reciprocal--;
    }
    return reciprocal;
}

/* One word of the quotient of (top:*high:*low) by divisor, two words long, normalised and larger
 * than (top:*high). The remainder takes the place of *high and *low. The same, algorithm 5. */
static inline uint64_t divide_three_words(uint64_t top, uint64_t *high, uint64_t *low,
                                          unsigned __int128 divisor, uint64_t reciprocal) {
    const uint64_t divisor_high = (uint64_t)(divisor >> 64), divisor_low = (uint64_t)divisor;
    unsigned __int128 wide = (unsigned __int128)reciprocal * top;
    wide += ((unsigned __int128)top << 64) | *high;
    uint64_t quotient = (uint64_t)(wide >> 64);
    const uint64_t fraction = (uint64_t)wide;
    unsigned __int128 remainder =
        ((unsigned __int128)(*high - quotient * divisor_high) << 64) | *low;
    remainder -= (unsigned __int128)divisor_low * quotient;
    remainder -= divisor;
    quotient++;
    if ((uint64_t)(remainder >> 64) >= fraction) {
        quotient--;
        remainder += divisor;
    }
    if (__builtin_expect(remainder >= divisor, 0)) {
        quotient++;
        remainder -= divisor;
    }
    *high = (uint64_t)(remainder >> 64);
    *low = (uint64_t)remainder;
    return quotient;
}

/* Subtracts factor * divisor from window (count words both); returns what is still owed. */
static inline uint64_t subtract_multiple(uint64_t *window, const uint64_t *divisor, unsigned count,
                                         uint64_t factor) {
    uint64_t owed = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned __int128 product = (unsigned __int128)divisor[i] * factor + owed;
        owed = (uint64_t)(product >> 64) + (window[i] < (uint64_t)product);
        window[i] -= (uint64_t)product;
    }
    return owed;
}

static inline void add_back(uint64_t *window, const uint64_t *divisor, unsigned count) {
    unsigned __int128 sum = 0;
    for (unsigned i = 0; i < count; i++) {
        sum += (unsigned __int128)window[i] + divisor[i];
        window[i] = (uint64_t)sum;
        sum >>= 64;
    }
}

/* One word of the quotient: window (count + 1 words) by divisor (count >= 2, normalised), of which
 * leading are the upper two words. window keeps the remainder in its lower count words. */
static inline uint64_t divide_window(uint64_t *window, const uint64_t *divisor, unsigned count,
                                     unsigned __int128 leading, uint64_t reciprocal) {
    uint64_t *high = &window[count - 1], *low = &window[count - 2], quotient, owed;
    if (__builtin_expect(window[count] == divisor[count - 1] && *high == divisor[count - 2], 0)) {
        quotient = UINT64_MAX;
        owed = subtract_multiple(window, divisor, count, quotient);
        if (owed <= window[count])
            return quotient;
    } else {
        quotient = divide_three_words(window[count], high, low, leading, reciprocal);
        owed = subtract_multiple(window, divisor, count - 2, quotient);
        unsigned __int128 rest = ((unsigned __int128)*high << 64) | *low;
        bool is_short = rest < owed;
        rest -= owed;
        *high = (uint64_t)(rest >> 64);
        *low = (uint64_t)rest;
        if (__builtin_expect(!is_short, 1))
            return quotient;
    }
    add_back(window, divisor, count);
    return quotient - 1;
}

static void divide_by_word(uint64_t *quotient, uint64_t *remainder, const uint64_t *numerator,
                           unsigned length, uint64_t divisor) {
    unsigned i = length - 1;
    uint64_t rest = numerator[i], word = 0;
    if (rest >= divisor) {
        word = rest / divisor;
        rest %= divisor;
    }
    if (quotient != NULL)
        quotient[i] = word;
    while (i-- > 0) {
        word = divide_step(&rest, rest, numerator[i], divisor);
        if (quotient != NULL)
            quotient[i] = word;
    }
    if (remainder != NULL)
        *remainder = rest;
}

/* TAOCP 4.3.1, algorithm D. Inlined for each count, so that the loops over it unroll. */
static inline __attribute__((always_inline)) void divide_by_words(
    uint64_t *quotient, uint64_t *remainder, const uint64_t *numerator, unsigned length,
    const uint64_t *divisor, const unsigned count) {
    uint64_t window[WORDS_MAX], scaled[4];
    const unsigned shift = (unsigned)__builtin_clzll(divisor[count - 1]), back = 63 - shift;
    /* >> 1 >> back is >> (64 - shift) without the undefined shift by 64 */
    for (unsigned i = count - 1; i > 0; i--)
        scaled[i] = (divisor[i] << shift) | (divisor[i - 1] >> 1 >> back);
    scaled[0] = divisor[0] << shift;
    window[length] = numerator[length - 1] >> 1 >> back;
    for (unsigned i = length - 1; i > 0; i--)
        window[i] = (numerator[i] << shift) | (numerator[i - 1] >> 1 >> back);
    window[0] = numerator[0] << shift;
    const unsigned __int128 leading =
        ((unsigned __int128)scaled[count - 1] << 64) | scaled[count - 2];
    const uint64_t reciprocal = reciprocal_of_two(scaled[count - 1], scaled[count - 2]);
    for (unsigned i = length - count + 1; i-- > 0;) {
        uint64_t word = divide_window(window + i, scaled, count, leading, reciprocal);
        if (quotient != NULL)
            quotient[i] = word;
    }
    if (remainder == NULL)
        return;
    for (unsigned i = 0; i < count - 1; i++)
        remainder[i] = (window[i] >> shift) | (window[i + 1] << 1 << back);
    remainder[count - 1] = window[count - 1] >> shift;
}

/* numerator (length words) over divisor (count significant words, 0 < count <= length): quotient
 * has room for length words, of which length - count + 1 are set; remainder for count words.
 * Either may be NULL. */
static void divide_words(uint64_t *quotient, uint64_t *remainder, const uint64_t *numerator,
                         unsigned length, const uint64_t *divisor, unsigned count) {
    switch (count) {
    case 1:
        divide_by_word(quotient, remainder, numerator, length, divisor[0]);
        break;
    case 2:
        divide_by_words(quotient, remainder, numerator, length, divisor, 2);
        break;
    case 3:
        divide_by_words(quotient, remainder, numerator, length, divisor, 3);
        break;
    default:
        divide_by_words(quotient, remainder, numerator, length, divisor, 4);
    }
}

/* Most quotients of contracts: of a number below 2^128 by one word that is not 0. */
static inline u256 divide_short(uint64_t *remainder, const u256 *a, uint64_t divisor) {
    u256 quotient = {{0}};
    uint64_t rest = a->limbs[1];
    if (rest >= divisor) {
        quotient.limbs[1] = rest / divisor;
        rest %= divisor;
    }
    quotient.limbs[0] = divide_step(remainder, rest, a->limbs[0], divisor);
    return quotient;
}

u256 u256_div(const u256 *a, const u256 *b) {
    uint64_t rest;
    unsigned count = significant_words(b->limbs, 4);
    if (count == 0)
        return (u256){{0}};
    if (count == 1 && (a->limbs[2] | a->limbs[3]) == 0)
        return divide_short(&rest, a, b->limbs[0]);
    unsigned length = significant_words(a->limbs, 4);
    u256 quotient = {{0}};
    if (length >= count)
        divide_words(quotient.limbs, NULL, a->limbs, length, b->limbs, count);
    return quotient;
}

u256 u256_mod(const u256 *a, const u256 *b) {
    uint64_t rest;
    unsigned count = significant_words(b->limbs, 4);
    if (count == 0)
        return (u256){{0}};
    if (count == 1 && (a->limbs[2] | a->limbs[3]) == 0) {
        divide_short(&rest, a, b->limbs[0]);
        return u256_from_u64(rest);
    }
    unsigned length = significant_words(a->limbs, 4);
    if (length < count)
        return *a;
    u256 remainder = {{0}};
    divide_words(NULL, remainder.limbs, a->limbs, length, b->limbs, count);
    return remainder;
}

static inline bool is_negative(const u256 *a) {
    return (a->limbs[3] >> 63) != 0;
}

static u256 negate(const u256 *a) {
    u256 zero = {{0}}, negative;
    u256_sub(&negative, &zero, a);
    return negative;
}

static u256 magnitude(const u256 *a) {
    return is_negative(a) ? negate(a) : *a;
}

/* -2^255 / -1 comes out as -2^255, as the Yellow Paper has it, because negating wraps. */
u256 u256_div_signed(const u256 *a, const u256 *b) {
    u256 numerator = magnitude(a), divisor = magnitude(b);
    u256 quotient = u256_div(&numerator, &divisor);
    return is_negative(a) != is_negative(b) ? negate(&quotient) : quotient;
}

u256 u256_mod_signed(const u256 *a, const u256 *b) {
    u256 numerator = magnitude(a), divisor = magnitude(b);
    u256 remainder = u256_mod(&numerator, &divisor);
    return is_negative(a) ? negate(&remainder) : remainder;
}

u256 u256_add_mod(const u256 *a, const u256 *b, const u256 *modulus) {
    u256 sum, reduced;
    bool carry = u256_add(&sum, a, b);
    if (u256_less(a, modulus) && u256_less(b, modulus)) {
        bool below = u256_sub(&reduced, &sum, modulus);
        return carry || !below ? reduced : sum;
    }
    if (!carry)
        return u256_mod(&sum, modulus);
    unsigned count = significant_words(modulus->limbs, 4);
    u256 remainder = {{0}};
    if (count == 0)
        return remainder;
    uint64_t words[5] = {sum.limbs[0], sum.limbs[1], sum.limbs[2], sum.limbs[3], 1};
    divide_words(NULL, remainder.limbs, words, 5, modulus->limbs, count);
    return remainder;
}

u256 u256_mul_mod(const u256 *a, const u256 *b, const u256 *modulus) {
    u256 remainder = {{0}};
    unsigned count = significant_words(modulus->limbs, 4);
    unsigned length_a = significant_words(a->limbs, 4), length_b = significant_words(b->limbs, 4);
    if (count == 0 || length_a == 0 || length_b == 0)
        return remainder;
    uint64_t product[8] = {0};
    for (unsigned i = 0; i < length_a; i++) {
        uint64_t carry = 0;
        for (unsigned j = 0; j < length_b; j++) {
            unsigned __int128 sum =
                (unsigned __int128)a->limbs[i] * b->limbs[j] + product[i + j] + carry;
            product[i + j] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        product[i + length_b] = carry;
    }
    unsigned length = significant_words(product, length_a + length_b);
    if (length < count)
        memcpy(remainder.limbs, product, length * sizeof(uint64_t));
    else
        divide_words(NULL, remainder.limbs, product, length, modulus->limbs, count);
    return remainder;
}

/* a * a modulo 2^256: the products of different words count twice. */
static u256 square(const u256 *a) {
    typedef unsigned __int128 wide;
    const uint64_t a0 = a->limbs[0], a1 = a->limbs[1], a2 = a->limbs[2];
    const wide low = (wide)a0 * a0, cross = (wide)a0 * a1;
    wide middle = (low >> 64) + ((wide)(uint64_t)cross << 1);
    wide high = (wide)a1 * a1 + ((wide)a0 * a2 << 1) + (cross >> 64 << 1) + (middle >> 64);
    high += (wide)(a0 * a->limbs[3] + a1 * a2) << 65;
    return (u256){{(uint64_t)low, (uint64_t)middle, (uint64_t)high, (uint64_t)(high >> 64)}};
}

/* From the exponent's top bit down: a square for each bit, a product more for each that is set. */
u256 u256_exp(const u256 *base, const u256 *exponent) {
    u256 power = u256_from_u64(1);
    unsigned bits = 256 - u256_leading_zeros(exponent);
    if (bits == 0)
        return power;
    if (u256_fits_u64(base) && base->limbs[0] == 2) {
        if (bits > 8)
            return (u256){{0}};
        return u256_shift_left(&power, (unsigned)exponent->limbs[0]);
    }
    power = *base;
    for (unsigned i = bits - 1; i-- > 0;) {
        power = square(&power);
        if ((exponent->limbs[i / 64] >> (i % 64)) & 1)
            power = u256_mul(&power, base);
    }
    return power;
}

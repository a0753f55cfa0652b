/* Division, and what rests on it. Most operands of contracts fit one or two words, so the quotient
 * is found by the shortest way that the lengths of the operands allow. */
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

/* Subtracts factor * divisor from window (count + 1 words); returns whether that went below 0. */
static bool subtract_multiple(uint64_t *window, const uint64_t *divisor, unsigned count,
                              uint64_t factor) {
    uint64_t carry = 0, borrow = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned __int128 product = (unsigned __int128)divisor[i] * factor + carry;
        carry = (uint64_t)(product >> 64);
        unsigned __int128 difference = (unsigned __int128)window[i] - (uint64_t)product - borrow;
        window[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    unsigned __int128 difference = (unsigned __int128)window[count] - carry - borrow;
    window[count] = (uint64_t)difference;
    return ((difference >> 64) & 1) != 0;
}

static void add_back(uint64_t *window, const uint64_t *divisor, unsigned count) {
    unsigned __int128 sum = 0;
    for (unsigned i = 0; i < count; i++) {
        sum += (unsigned __int128)window[i] + divisor[i];
        window[i] = (uint64_t)sum;
        sum >>= 64;
    }
    window[count] += (uint64_t)sum;
}

/* One word of the quotient by its upper two words of divisor, at most one too large. */
static uint64_t estimate(const uint64_t *window, const uint64_t *divisor, unsigned count) {
    uint64_t top = divisor[count - 1], next = divisor[count - 2];
    uint64_t quotient, remainder;
    if (window[count] >= top) {
        quotient = UINT64_MAX;
        remainder = window[count - 1] + top;
        if (remainder < top)
            return quotient;
    } else {
        quotient = divide_step(&remainder, window[count], window[count - 1], top);
    }
    while ((unsigned __int128)quotient * next >
           (((unsigned __int128)remainder << 64) | window[count - 2])) {
        quotient--;
        remainder += top;
        if (remainder < top)
            break;
    }
    return quotient;
}

/* numerator (length words) over divisor (count significant words, 0 < count <= length): quotient
 * has room for length words, of which length - count + 1 are set; remainder for count words.
 * Either may be NULL. TAOCP 4.3.1, algorithm D. */
static void divide_words(uint64_t *quotient, uint64_t *remainder, const uint64_t *numerator,
                         unsigned length, const uint64_t *divisor, unsigned count) {
    if (count == 1) {
        uint64_t rest = 0;
        for (unsigned i = length; i-- > 0;) {
            uint64_t word = divide_step(&rest, rest, numerator[i], divisor[0]);
            if (quotient != NULL)
                quotient[i] = word;
        }
        if (remainder != NULL)
            remainder[0] = rest;
        return;
    }
    uint64_t window[WORDS_MAX], scaled[4];
    unsigned shift = (unsigned)__builtin_clzll(divisor[count - 1]);
    /* >> 1 >> (63 - shift) is >> (64 - shift) without the undefined shift by 64 */
    for (unsigned i = count; i-- > 0;)
        scaled[i] = (divisor[i] << shift) | (i > 0 ? divisor[i - 1] >> 1 >> (63 - shift) : 0);
    window[length] = numerator[length - 1] >> 1 >> (63 - shift);
    for (unsigned i = length; i-- > 0;)
        window[i] = (numerator[i] << shift) | (i > 0 ? numerator[i - 1] >> 1 >> (63 - shift) : 0);
    for (unsigned i = length - count + 1; i-- > 0;) {
        uint64_t word = estimate(window + i, scaled, count);
        if (word != 0 && subtract_multiple(window + i, scaled, count, word)) {
            word--;
            add_back(window + i, scaled, count);
        }
        if (quotient != NULL)
            quotient[i] = word;
    }
    if (remainder == NULL)
        return;
    for (unsigned i = 0; i < count; i++)
        remainder[i] = (window[i] >> shift) | (window[i + 1] << 1 << (63 - shift));
}

u256 u256_div(const u256 *a, const u256 *b) {
    if (u256_fits_u64(b)) {
        uint64_t divisor = b->limbs[0];
        if (divisor == 0)
            return (u256){{0}};
        if (u256_fits_u64(a))
            return u256_from_u64(a->limbs[0] / divisor);
    }
    unsigned length = significant_words(a->limbs, 4), count = significant_words(b->limbs, 4);
    u256 quotient = {{0}};
    if (length >= count)
        divide_words(quotient.limbs, NULL, a->limbs, length, b->limbs, count);
    return quotient;
}

u256 u256_mod(const u256 *a, const u256 *b) {
    if (u256_fits_u64(b)) {
        uint64_t divisor = b->limbs[0];
        if (divisor == 0)
            return (u256){{0}};
        if (u256_fits_u64(a))
            return u256_from_u64(a->limbs[0] % divisor);
    }
    unsigned length = significant_words(a->limbs, 4), count = significant_words(b->limbs, 4);
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

u256 u256_exp(const u256 *base, const u256 *exponent) {
    u256 power = u256_from_u64(1), square = *base;
    if (u256_fits_u64(base) && base->limbs[0] == 2) {
        if (!u256_fits_u64(exponent) || exponent->limbs[0] > 255)
            return (u256){{0}};
        return u256_shift_left(&power, (unsigned)exponent->limbs[0]);
    }
    unsigned bits = 256 - u256_leading_zeros(exponent);
    for (unsigned i = 0; i < bits; i++) {
        if ((exponent->limbs[i / 64] >> (i % 64)) & 1)
            power = u256_mul(&power, &square);
        square = u256_mul(&square, &square);
    }
    return power;
}

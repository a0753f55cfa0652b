/* Which precompile lives where since when, what it costs, and what it makes of its input. The
 * arithmetic is in the other files of this folder. */
#include "precompiles.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "../common/u256.h"
#include "../secp256k1/secp256k1.h"
#include "parts.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum fork { CANCUN = 0, PRAGUE = 1, OSAKA = 2 };

/* ---- CPU ---- */

enum { HAS_SHA = 1, HAS_ADX = 2, FEATURES_KNOWN = 4 };

static _Atomic int cpu_features;
static _Atomic int level_cap = 1;

static int features(void) {
    int known = atomic_load_explicit(&cpu_features, memory_order_relaxed);
    if (known != 0) return known;
    known = FEATURES_KNOWN;
#if defined(__x86_64__)
    unsigned a, b, c, d;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        bool has_sse4_1 = __builtin_cpu_supports("sse4.1");
        if ((b >> 29 & 1) != 0 && has_sse4_1) known |= HAS_SHA;
        if ((b >> 8 & 1) != 0 && (b >> 19 & 1) != 0) known |= HAS_ADX; /* BMI2 and ADX */
    }
#endif
    atomic_store_explicit(&cpu_features, known, memory_order_relaxed);
    return known;
}

static bool have(int feature) {
    return (features() & feature) != 0 &&
           atomic_load_explicit(&level_cap, memory_order_relaxed) != 0;
}

bool precompiles_have_sha(void) {
    return have(HAS_SHA);
}

bool precompiles_have_adx(void) {
    return have(HAS_ADX);
}

int ghost_precompiles_level(void) {
    return have(HAS_SHA) || have(HAS_ADX);
}

int ghost_precompiles_set_level(int level) {
    atomic_store_explicit(&level_cap, level > 0, memory_order_relaxed);
    return ghost_precompiles_level();
}

/* ---- one call ---- */

typedef struct precompile_call {
    uint32_t fork;
    uint32_t number;
    const uint8_t *input;
    size_t input_length;
    uint64_t gas; /* left */
    bool lacks_gas;
    uint8_t *output;
    size_t output_length;
} precompile_call;

/* Takes cost from the gas, or returns false and takes nothing. */
static bool charge(precompile_call *call, uint64_t cost) {
    call->lacks_gas = cost > call->gas;
    if (call->lacks_gas) return false;
    call->gas -= cost;
    return true;
}

/* Charges base + per_word for every started word of 32 bytes. */
static bool charge_words(precompile_call *call, uint64_t base, uint64_t per_word) {
    uint64_t words = call->input_length / 32 + (call->input_length % 32 != 0);
    return charge(call, base + per_word * words);
}

/* Input is as if followed by endless zeros. */
static void read_padded(uint8_t *out, const precompile_call *call, size_t offset,
                        size_t length) {
    size_t there = offset < call->input_length ? call->input_length - offset : 0;
    if (there > length) there = length;
    if (there != 0) memcpy(out, call->input + offset, there);
    memset(out + there, 0, length - there);
}

/* Makes room for an output of length > 0 bytes; NULL when there is none. */
static uint8_t *make_output(precompile_call *call, size_t length) {
    call->output = malloc(length);
    call->output_length = call->output == NULL ? 0 : length;
    return call->output;
}

/* A 32-byte output: the bytes given, at most 32, after as many zeros as it takes. */
static outcome return_word(precompile_call *call, const uint8_t *bytes, size_t length) {
    uint8_t *output = make_output(call, 32);
    if (output == NULL) return NO_MEMORY;
    memset(output, 0, 32 - length);
    memcpy(output + 32 - length, bytes, length);
    return SUCCEEDED;
}

/* ---- 0x01-0x04 ---- */

static outcome run_ecrecover(precompile_call *call) {
    if (!charge(call, 3000)) return FAILED;
    uint8_t input[128];
    read_padded(input, call, 0, sizeof input);
    u256 v = u256_from_be(input + 32);
    if (!u256_fits_u64(&v) || (v.limbs[0] != 27 && v.limbs[0] != 28)) return SUCCEEDED;
    ghost_recovery recovery = {.y_parity = (uint8_t)(v.limbs[0] - 27)};
    memcpy(recovery.digest, input, 32);
    memcpy(recovery.r, input + 64, 32);
    memcpy(recovery.s, input + 96, 32);
    ghost_secp256k1_recover_batch(&recovery, 1, 1);
    if (!recovery.ok) return SUCCEEDED;
    return return_word(call, recovery.address, 20);
}

static outcome run_sha256(precompile_call *call) {
    if (!charge_words(call, 60, 12)) return FAILED;
    uint8_t digest[32];
    ghost_sha256(digest, call->input, call->input_length);
    return return_word(call, digest, 32);
}

static outcome run_ripemd160(precompile_call *call) {
    if (!charge_words(call, 600, 120)) return FAILED;
    uint8_t digest[20];
    ghost_ripemd160(digest, call->input, call->input_length);
    return return_word(call, digest, 20);
}

static outcome run_identity(precompile_call *call) {
    if (!charge_words(call, 15, 3)) return FAILED;
    if (call->input_length == 0) return SUCCEEDED;
    if (make_output(call, call->input_length) == NULL) return NO_MEMORY;
    memcpy(call->output, call->input, call->input_length);
    return SUCCEEDED;
}

/* ---- 0x05 ---- */

typedef unsigned __int128 u128;

typedef struct modexp_lengths {
    u256 base, exponent, modulus;
} modexp_lengths;

static u256 longer_of(const u256 *a, const u256 *b) {
    return u256_less(a, b) ? *b : *a;
}

/* How many squarings the exponent asks for, at least 1: EIP-2565, and EIP-7883 with 16 for 8. */
static u128 modexp_iterations(const precompile_call *call, const modexp_lengths *lengths,
                              unsigned per_byte) {
    uint8_t head[32] = {0};
    size_t head_length = 32;
    if (u256_fits_u64(&lengths->exponent) && lengths->exponent.limbs[0] < 32) {
        head_length = lengths->exponent.limbs[0];
    }
    if (u256_fits_u64(&lengths->base) && lengths->base.limbs[0] < call->input_length) {
        read_padded(head + 32 - head_length, call, 96 + lengths->base.limbs[0], head_length);
    }
    u128 count = 0;
    for (int i = 0; i < 32; i++) {
        if (head[i] != 0) {
            count = 8 * (31 - i) + 31 - __builtin_clz(head[i]);
            break;
        }
    }
    if (lengths->exponent.limbs[0] > 32) {
        count += (u128)per_byte * (lengths->exponent.limbs[0] - 32);
    }
    return count == 0 ? 1 : count;
}

/* Sets *cost; false when it is more than any gas can be. exponent must fit 64 bits unless base
 * and modulus are both empty. */
static bool modexp_cost(uint64_t *cost, const precompile_call *call,
                        const modexp_lengths *lengths) {
    bool is_osaka = call->fork >= OSAKA;
    u256 longest = longer_of(&lengths->base, &lengths->modulus);
    *cost = is_osaka ? 500 : 200;
    if (u256_is_zero(&longest) && !is_osaka) return true;
    if (!u256_fits_u64(&longest) || !u256_fits_u64(&lengths->exponent)) return false;
    u128 words = ((u128)longest.limbs[0] + 7) / 8;
    u128 complexity = words * words;
    if (is_osaka) complexity = longest.limbs[0] > 32 ? 2 * complexity : 16;
    u128 total = modexp_iterations(call, lengths, is_osaka ? 16 : 8);
    if (__builtin_mul_overflow(total, complexity, &total)) return false;
    if (!is_osaka) total /= 3;
    if (total > UINT64_MAX) return false;
    if (total > *cost) *cost = (uint64_t)total;
    return true;
}

/* The `length` bytes of input at offset, as far as they are there. */
static padded_number operand(const precompile_call *call, u128 offset, uint64_t length) {
    padded_number number = {.length = length};
    if (offset < call->input_length) {
        size_t there = call->input_length - (size_t)offset;
        number.bytes = call->input + (size_t)offset;
        number.available = there < length ? there : length;
    }
    return number;
}

static outcome run_modexp(precompile_call *call) {
    uint8_t head[96];
    read_padded(head, call, 0, sizeof head);
    modexp_lengths lengths = {u256_from_be(head), u256_from_be(head + 32),
                              u256_from_be(head + 64)};
    uint64_t cost;
    if (!modexp_cost(&cost, call, &lengths)) cost = UINT64_MAX; /* more than any gas */
    if (!charge(call, cost)) return FAILED;
    if (call->fork >= OSAKA) { /* EIP-7823 */
        u256 bound = u256_from_u64(1024);
        if (u256_less(&bound, &lengths.base) || u256_less(&bound, &lengths.exponent) ||
            u256_less(&bound, &lengths.modulus)) {
            return FAILED;
        }
    }
    if (u256_is_zero(&lengths.modulus)) return SUCCEEDED;
    /* A modulus that is not empty was paid for, so all three lengths fit 64 bits by now. */
    uint64_t base = lengths.base.limbs[0], exponent = lengths.exponent.limbs[0];
    uint64_t modulus = lengths.modulus.limbs[0];
    /* Only a call without a sensible gas limit gets here: 64 MiB cost 10^13 gas. */
    if (base > MODEXP_BYTES_MAX || modulus > MODEXP_BYTES_MAX ||
        exponent > 64 * MODEXP_BYTES_MAX) {
        return NO_MEMORY;
    }
    if (make_output(call, modulus) == NULL) return NO_MEMORY;
    return ghost_modexp(call->output, operand(call, 96, base),
                        operand(call, (u128)96 + base, exponent),
                        operand(call, (u128)96 + base + exponent, modulus));
}

/* ---- 0x06-0x08 ---- */

static outcome run_bn254_add(precompile_call *call) {
    if (!charge(call, 150)) return FAILED;
    uint8_t input[128];
    read_padded(input, call, 0, sizeof input);
    if (make_output(call, 64) == NULL) return NO_MEMORY;
    return ghost_bn254_add(call->output, input);
}

static outcome run_bn254_multiply(precompile_call *call) {
    if (!charge(call, 6000)) return FAILED;
    uint8_t input[96];
    read_padded(input, call, 0, sizeof input);
    if (make_output(call, 64) == NULL) return NO_MEMORY;
    return ghost_bn254_multiply(call->output, input);
}

static outcome run_bn254_pairing(precompile_call *call) {
    size_t count = call->input_length / 192;
    if (!charge(call, 45000 + 34000 * (uint64_t)count)) return FAILED;
    if (call->input_length % 192 != 0) return FAILED;
    bool is_one;
    outcome outcome = ghost_bn254_pairing(&is_one, call->input, count);
    if (outcome != SUCCEEDED) return outcome;
    uint8_t answer = is_one;
    return return_word(call, &answer, 1);
}

/* ---- 0x09 ---- */

static inline uint64_t load_le64(const uint8_t *bytes) {
    return __builtin_bswap64(load_be64(bytes));
}

/* EIP-152: rounds (4, big-endian) | h (64) | m (128) | t (16) | final (1). */
static outcome run_blake2f(precompile_call *call) {
    if (call->input_length != 213) return FAILED;
    const uint8_t *input = call->input;
    uint32_t rounds = (uint32_t)(load_be64(input) >> 32);
    if (!charge(call, rounds) || input[212] > 1) return FAILED;
    uint64_t state[8], block[16], counter[2];
    for (int i = 0; i < 8; i++) state[i] = load_le64(input + 4 + 8 * i);
    for (int i = 0; i < 16; i++) block[i] = load_le64(input + 68 + 8 * i);
    for (int i = 0; i < 2; i++) counter[i] = load_le64(input + 196 + 8 * i);
    if (make_output(call, 64) == NULL) return NO_MEMORY;
    ghost_blake2b_compress(state, block, counter, input[212] == 1, rounds);
    for (int i = 0; i < 8; i++) store_be64(call->output + 8 * i, __builtin_bswap64(state[i]));
    return SUCCEEDED;
}

/* ---- 0x0a-0x11: BLS12-381 ---- */

static outcome compute(precompile_call *call, size_t output_length, size_t count) {
    if (make_output(call, output_length) == NULL) return NO_MEMORY;
    return ghost_bls12_run(call->number, call->output, call->input, count);
}

/* EIP-4844: versioned hash (32) | z (32) | y (32) | commitment (48) | proof (48). */
static outcome run_point_evaluation(precompile_call *call) {
    if (!charge(call, 50000) || call->input_length != 192) return FAILED;
    uint8_t versioned_hash[32];
    ghost_sha256(versioned_hash, call->input + 96, 48);
    versioned_hash[0] = 1; /* VERSIONED_HASH_VERSION_KZG */
    if (memcmp(versioned_hash, call->input, 32) != 0) return FAILED;
    return compute(call, 64, 1);
}

/* EIP-2537, discounts for 1, 2, ... 128 pairs in thousandths; more pairs have the last one's. */
static const uint16_t g1_discounts[128] = {
    1000, 949, 848, 797, 764, 750, 738, 728, 719, 712, 705, 698, 692, 687, 682, 677,
    673, 669, 665, 661, 658, 654, 651, 648, 645, 642, 640, 637, 635, 632, 630, 627,
    625, 623, 621, 619, 617, 615, 613, 611, 609, 608, 606, 604, 603, 601, 599, 598,
    596, 595, 593, 592, 591, 589, 588, 586, 585, 584, 582, 581, 580, 579, 577, 576,
    575, 574, 573, 572, 570, 569, 568, 567, 566, 565, 564, 563, 562, 561, 560, 559,
    558, 557, 556, 555, 554, 553, 552, 551, 550, 549, 548, 547, 547, 546, 545, 544,
    543, 542, 541, 540, 540, 539, 538, 537, 536, 536, 535, 534, 533, 532, 532, 531,
    530, 529, 528, 528, 527, 526, 525, 525, 524, 523, 522, 522, 521, 520, 520, 519,
};

static const uint16_t g2_discounts[128] = {
    1000, 1000, 923, 884, 855, 832, 812, 796, 782, 770, 759, 749, 740, 732, 724, 717,
    711, 704, 699, 693, 688, 683, 679, 674, 670, 666, 663, 659, 655, 652, 649, 646,
    643, 640, 637, 634, 632, 629, 627, 624, 622, 620, 618, 615, 613, 611, 609, 607,
    606, 604, 602, 600, 598, 597, 595, 593, 592, 590, 589, 587, 586, 584, 583, 582,
    580, 579, 578, 576, 575, 574, 573, 571, 570, 569, 568, 567, 566, 565, 563, 562,
    561, 560, 559, 558, 557, 556, 555, 554, 553, 552, 552, 551, 550, 549, 548, 547,
    546, 545, 545, 544, 543, 542, 541, 541, 540, 539, 538, 537, 537, 536, 535, 535,
    534, 533, 532, 532, 531, 530, 530, 529, 528, 528, 527, 526, 526, 525, 524, 524,
};

/* What EIP-2537 fixes for each of its addresses. item_length: of one input item; a precompile
 * without discounts and without gas_per_item takes exactly one. */
typedef struct bls_shape {
    uint32_t item_length, output_length;
    uint32_t gas, gas_per_item;
    const uint16_t *discounts;
} bls_shape;

static const bls_shape bls_shapes[7] = {
    {256, 128, 375, 0, NULL},           /* 0x0b G1 addition */
    {160, 128, 0, 12000, g1_discounts}, /* 0x0c G1 multi-scalar multiplication */
    {512, 256, 600, 0, NULL},           /* 0x0d G2 addition */
    {288, 256, 0, 22500, g2_discounts}, /* 0x0e G2 multi-scalar multiplication */
    {384, 32, 37700, 32600, NULL},      /* 0x0f pairing check */
    {64, 128, 5500, 0, NULL},           /* 0x10 field element to G1 */
    {128, 256, 23800, 0, NULL},         /* 0x11 field element to G2 */
};

static outcome run_bls(precompile_call *call) {
    const bls_shape *shape = &bls_shapes[call->number - 0x0b];
    size_t count = call->input_length / shape->item_length;
    uint64_t cost = shape->gas + (uint64_t)count * shape->gas_per_item;
    if (shape->discounts != NULL && count != 0) {
        cost = cost * shape->discounts[count < 128 ? count - 1 : 127] / 1000;
    }
    if (!charge(call, cost)) return FAILED;
    if (count == 0 || call->input_length % shape->item_length != 0) return FAILED;
    if (shape->gas_per_item == 0 && count != 1) return FAILED;
    return compute(call, shape->output_length, count);
}

/* ---- 0x100 ---- */

/* EIP-7951: whatever is wrong with the input, the call succeeds and returns nothing. */
static outcome run_p256_verify(precompile_call *call) {
    if (!charge(call, 6900)) return FAILED;
    if (call->input_length != 160 || !ghost_p256_verify(call->input)) return SUCCEEDED;
    const uint8_t one = 1;
    return return_word(call, &one, 1);
}

/* ---- doors ---- */

typedef struct precompile {
    uint32_t since; /* fork */
    outcome (*run)(precompile_call *call);
} precompile;

static const precompile low_precompiles[] = {
    [0x01] = {CANCUN, run_ecrecover},
    [0x02] = {CANCUN, run_sha256},
    [0x03] = {CANCUN, run_ripemd160},
    [0x04] = {CANCUN, run_identity},
    [0x05] = {CANCUN, run_modexp},
    [0x06] = {CANCUN, run_bn254_add},
    [0x07] = {CANCUN, run_bn254_multiply},
    [0x08] = {CANCUN, run_bn254_pairing},
    [0x09] = {CANCUN, run_blake2f},
    [0x0a] = {CANCUN, run_point_evaluation},
    [0x0b] = {PRAGUE, run_bls},
    [0x0c] = {PRAGUE, run_bls},
    [0x0d] = {PRAGUE, run_bls},
    [0x0e] = {PRAGUE, run_bls},
    [0x0f] = {PRAGUE, run_bls},
    [0x10] = {PRAGUE, run_bls},
    [0x11] = {PRAGUE, run_bls},
};

static const precompile p256_precompile = {OSAKA, run_p256_verify};

/* The precompile at address and its number, or NULL. */
static const precompile *find(uint32_t *number, uint32_t fork, const uint8_t address[20]) {
    static const uint8_t zeros[18];
    if (memcmp(address, zeros, 18) != 0) return NULL;
    *number = (uint32_t)address[18] << 8 | address[19];
    const precompile *found = NULL;
    if (*number == 0x100) {
        found = &p256_precompile;
    } else if (*number < sizeof low_precompiles / sizeof low_precompiles[0]) {
        found = &low_precompiles[*number];
    }
    return found != NULL && found->run != NULL && fork >= found->since ? found : NULL;
}

int ghost_precompile_exists(uint32_t fork, const uint8_t address[20]) {
    uint32_t number;
    return find(&number, fork, address) != NULL;
}

int ghost_precompile_run(ghost_precompile_result *result, uint32_t fork,
                         const uint8_t address[20], const uint8_t *input, size_t input_length,
                         uint64_t gas) {
    *result = (ghost_precompile_result){0};
    precompile_call call = {.fork = fork, .input = input, .input_length = input_length,
                            .gas = gas};
    const precompile *found = find(&call.number, fork, address);
    if (found == NULL) return GHOST_MISSING;
    outcome outcome = found->run(&call);
    if (outcome == SUCCEEDED) {
        result->success = 1;
        result->gas_left = call.gas;
        result->output = call.output;
        result->output_length = call.output_length;
        return GHOST_OK;
    }
    free(call.output);
    result->lacks_gas = call.lacks_gas;
    return outcome == NO_MEMORY ? GHOST_OUT_OF_MEMORY : GHOST_OK;
}

/* Keccak-256 computed by the contract itself, to show what computing costs. A contract that needs a
 * hash calls native_keccak256, which costs less. */
#include "ghost.h"

#define RATE 136 /* bytes that one permutation takes in */

static const uint64_t CONSTANTS[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

static inline uint64_t rotate(uint64_t lane, unsigned by) {
    return lane << by | lane >> ((64 - by) & 63);
}

/* rho and pi of one lane: from the lane at x + 5 y to y + 5 (2 x + 3 y mod 5). */
#define MOVE(to, from, by) moved[to] = rotate(state[from] ^ column[(from) % 5], by)

static void permute(uint64_t state[25]) {
    for (unsigned round = 0; round < 24; round++) {
        uint64_t parity[5], column[5], moved[25];
        for (unsigned x = 0; x < 5; x++)
            parity[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
        for (unsigned x = 0; x < 5; x++)
            column[x] = parity[(x + 4) % 5] ^ rotate(parity[(x + 1) % 5], 1);
        MOVE(0, 0, 0), MOVE(10, 1, 1), MOVE(20, 2, 62), MOVE(5, 3, 28), MOVE(15, 4, 27);
        MOVE(16, 5, 36), MOVE(1, 6, 44), MOVE(11, 7, 6), MOVE(21, 8, 55), MOVE(6, 9, 20);
        MOVE(7, 10, 3), MOVE(17, 11, 10), MOVE(2, 12, 43), MOVE(12, 13, 25), MOVE(22, 14, 39);
        MOVE(23, 15, 41), MOVE(8, 16, 45), MOVE(18, 17, 15), MOVE(3, 18, 21), MOVE(13, 19, 8);
        MOVE(14, 20, 18), MOVE(24, 21, 2), MOVE(9, 22, 61), MOVE(19, 23, 56), MOVE(4, 24, 14);
        for (unsigned y = 0; y < 25; y += 5)
            for (unsigned x = 0; x < 5; x++)
                state[y + x] = moved[y + x] ^ (~moved[y + (x + 1) % 5] & moved[y + (x + 2) % 5]);
        state[0] ^= CONSTANTS[round];
    }
}

static void absorb(uint64_t state[25], const uint8_t *block) {
    for (unsigned lane = 0; lane < RATE / 8; lane++) {
        uint64_t read;
        copy(&read, block + 8 * lane, 8); /* memory of WASM is little-endian, as Keccak's lanes */
        state[lane] ^= read;
    }
    permute(state);
}

static word keccak256(const uint8_t *bytes, uint32_t length) {
    uint64_t state[25] = {0};
    for (; length >= RATE; bytes += RATE, length -= RATE) absorb(state, bytes);
    uint8_t last[RATE] = {0};
    copy(last, bytes, length);
    last[length] = 0x01;
    last[RATE - 1] |= 0x80;
    absorb(state, last);
    word hash;
    copy(&hash, state, sizeof hash);
    return hash;
}

static word hash(void) {
    uint32_t length;
    const uint8_t *bytes = argument_bytes(0, &length);
    return keccak256(bytes, length);
}

/* The hash of 32 zero bytes, hashed again and again. */
static word loop(uint32_t rounds) {
    word value = word_of(0);
    while (rounds-- > 0) value = keccak256(value.bytes, sizeof value);
    return value;
}

void contract(void) {
    not_payable();
    switch (selector()) {
    case 0xaa1e84de: /* hash(bytes) */
        return result_word(hash());
    case 0x95cfa685: /* loop(uint32) */
        return result_word(loop(argument_uint32(0)));
    default:
        revert(NULL, 0);
    }
}

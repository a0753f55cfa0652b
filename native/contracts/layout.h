/* Where native contracts keep what: as Solidity would (Layout of State Variables in Storage). */
#ifndef GHOST_CONTRACTS_LAYOUT_H
#define GHOST_CONTRACTS_LAYOUT_H

#include "../common/u256.h"
#include "../keccak/keccak.h"

/* The entry of a mapping in `slot`: keccak256(key . slot). */
static inline u256 layout_entry(const u256 *key, const u256 *slot) {
    uint8_t item[64], digest[32];
    u256_to_be(item, key);
    u256_to_be(item + 32, slot);
    ghost_keccak256(digest, item, sizeof item);
    return u256_from_be(digest);
}

#endif

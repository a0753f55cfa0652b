/* What a block shows to its transactions, as its header says it. */
#include <string.h>

#include "../rlp/reader.h"
#include "executor.h"

/* Places in a header (Yellow Paper, 4.4.1; EIP-1559, 4895, 4844, 4788, 7685). */
enum {
    PARENT_HASH = 0,
    COINBASE = 2,
    NUMBER = 8,
    GAS_LIMIT = 9,
    GAS_USED = 10,
    TIMESTAMP = 11,
    PREV_RANDAO = 13,
    BASE_FEE = 15,
    EXCESS_BLOB_GAS = 18,
    BEACON_ROOT = 19,
    FIELDS_MIN = 20,
    FIELDS_MAX = 21
};

static bool take_bytes(const rlp_item *item, uint8_t *out, size_t length) {
    if (item->is_list || item->length != length)
        return false;
    memcpy(out, item->payload, length);
    return true;
}

/* A number of at most `length` bytes, big-endian in all of them. */
static bool take_number(const rlp_item *item, uint8_t *out, size_t length) {
    if (item->is_list || item->length > length || (item->length > 0 && item->payload[0] == 0))
        return false;
    memset(out, 0, length - item->length);
    memcpy(out + (length - item->length), item->payload, item->length);
    return true;
}

static bool take_u64(const rlp_item *item, uint64_t *out) {
    uint8_t bytes[8];
    if (!take_number(item, bytes, sizeof bytes))
        return false;
    *out = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        *out = *out << 8 | bytes[i];
    return true;
}

int ghost_header_environment(const uint8_t *header, size_t length, ghost_block_env *env,
                             uint64_t *gas_used) {
    rlp_cursor cursor = {header, header + length};
    rlp_item list, fields[FIELDS_MAX];
    size_t count;
    if (!rlp_next(&cursor, &list) || !list.is_list || cursor.at != cursor.end ||
        !rlp_split(rlp_inside(&list), fields, FIELDS_MAX, &count) || count < FIELDS_MIN ||
        count > FIELDS_MAX)
        return GHOST_REFUSED;
    bool is_usual = take_bytes(&fields[PARENT_HASH], env->parent_hash, 32) &&
                    take_bytes(&fields[COINBASE], env->coinbase, 20) &&
                    take_u64(&fields[NUMBER], &env->number) &&
                    take_u64(&fields[GAS_LIMIT], &env->gas_limit) &&
                    take_u64(&fields[GAS_USED], gas_used) &&
                    take_u64(&fields[TIMESTAMP], &env->timestamp) &&
                    take_bytes(&fields[PREV_RANDAO], env->prev_randao, 32) &&
                    take_number(&fields[BASE_FEE], env->base_fee, 32) &&
                    take_u64(&fields[EXCESS_BLOB_GAS], &env->excess_blob_gas) &&
                    take_bytes(&fields[BEACON_ROOT], env->parent_beacon_block_root, 32);
    return is_usual ? GHOST_OK : GHOST_REFUSED;
}

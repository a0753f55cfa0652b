/* The order of the checks is that of ghostchain/encoding/codec.py: size, type byte, the
 * outer list, the number of fields, the fields from first to last, the signature. Every step
 * returns an enum ghost_tx_reason; OUT_OF_MEMORY stands beside them as a negative number. */
#include "decode.h"

#include <string.h>

#include "fields.h"
#include "hybrid.h"

enum { FIELDS_MAX = 14, SIGNATURE_FIELDS = 3, NO_POINT = 255 };

/* The fewest bytes that one well-formed part of these lists takes. */
enum { HASH_BYTES_MIN = 33, ACCESS_ENTRY_BYTES_MIN = 23, AUTHORIZATION_BYTES_MIN = 27 };

/* How many fields a type has, 0 for a type that there is not. */
static size_t field_count(uint8_t type) {
    static const uint8_t counts[] = {9, 11, 12, 14, 13};
    if (type < sizeof counts) {
        return counts[type];
    }
    return type == GHOST_TX_TYPE_GHOST ? 11 : type == GHOST_TX_TYPE_FEE_CURRENCY ? 13 : 0;
}

/* The first field that the sender's signature does not cover. */
static const rlp_item *first_unsigned(const ghost_tx *tx, const rlp_item *fields) {
    size_t unsigned_fields = tx->type == GHOST_TX_TYPE_GHOST ? 2 : SIGNATURE_FIELDS;
    return fields + field_count(tx->type) - unsigned_fields;
}

static const uint8_t order[32] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41};

const uint8_t ghost_half_order[32] = {
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};

/* ---- fields and lists ---- */

/* Empty stands for a creation, also where the type does not allow one: the executor refuses it. */
static int read_to(ghost_tx *tx, const rlp_item *item) {
    tx->is_create = !item->is_list && item->length == 0;
    return tx->is_create ? GHOST_TX_OK : read_fixed(tx->to, item, 20);
}

static int read_data(ghost_tx *tx, const rlp_item *item) {
    if (item->is_list) {
        return GHOST_TX_RLP_MALFORMED;
    }
    tx->data = item->payload;
    tx->data_length = item->length;
    return GHOST_TX_OK;
}

/* Copies the 32-byte parts of a list one after the other. */
static int read_hashes(const uint8_t **hashes, size_t *count, arena *memory, const rlp_item *list) {
    int reason = count_parts(count, list);
    if (reason != GHOST_TX_OK || *count == 0) {
        return reason;
    }
    uint8_t *out = take_parts(memory, list, *count, HASH_BYTES_MIN, 32);
    if (out == NULL) {
        return TX_NO_MEMORY;
    }
    *hashes = out;
    rlp_cursor cursor = rlp_inside(list);
    rlp_item item;
    while (reason == GHOST_TX_OK && rlp_next(&cursor, &item)) {
        reason = read_fixed(out, &item, 32);
        out += 32;
    }
    return reason;
}

static int read_access_entry(ghost_access_entry *entry, arena *memory, const rlp_item *item) {
    rlp_item parts[2];
    int reason = read_tuple(parts, 2, item);
    if (reason == GHOST_TX_OK) {
        reason = read_fixed(entry->address, &parts[0], 20);
    }
    if (reason == GHOST_TX_OK) {
        entry->keys = NULL;
        reason = read_hashes(&entry->keys, &entry->key_count, memory, &parts[1]);
    }
    return reason;
}

static int read_access_list(ghost_tx *tx, arena *memory, const rlp_item *list) {
    int reason = count_parts(&tx->access_count, list);
    if (reason != GHOST_TX_OK || tx->access_count == 0) {
        return reason;
    }
    ghost_access_entry *entries =
        take_parts(memory, list, tx->access_count, ACCESS_ENTRY_BYTES_MIN, sizeof *entries);
    if (entries == NULL) {
        return TX_NO_MEMORY;
    }
    tx->access_list = entries;
    rlp_cursor cursor = rlp_inside(list);
    rlp_item item;
    while (reason == GHOST_TX_OK && rlp_next(&cursor, &item)) {
        reason = read_access_entry(entries++, memory, &item);
    }
    return reason;
}

static int read_authorization(ghost_authorization *out, const rlp_item *item) {
    rlp_item parts[6];
    memset(out, 0, sizeof *out);
    int reason = read_tuple(parts, 6, item);
    if (reason == GHOST_TX_OK) reason = read_uint256(out->chain_id, &parts[0]);
    if (reason == GHOST_TX_OK) reason = read_fixed(out->address, &parts[1], 20);
    if (reason == GHOST_TX_OK) reason = read_uint64(&out->nonce, &parts[2]);
    if (reason == GHOST_TX_OK) reason = read_uint8(&out->y_parity, &parts[3]);
    if (reason == GHOST_TX_OK) reason = read_uint256(out->r, &parts[4]);
    if (reason == GHOST_TX_OK) reason = read_uint256(out->s, &parts[5]);
    return reason;
}

static int read_authorizations(ghost_tx *tx, arena *memory, const rlp_item *list) {
    int reason = count_parts(&tx->authorization_count, list);
    if (reason != GHOST_TX_OK || tx->authorization_count == 0) {
        return reason;
    }
    ghost_authorization *out =
        take_parts(memory, list, tx->authorization_count, AUTHORIZATION_BYTES_MIN, sizeof *out);
    if (out == NULL) {
        return TX_NO_MEMORY;
    }
    tx->authorizations = out;
    rlp_cursor cursor = rlp_inside(list);
    rlp_item item;
    while (reason == GHOST_TX_OK && rlp_next(&cursor, &item)) {
        reason = read_authorization(out++, &item);
    }
    return reason;
}

/* ---- the types ---- */

/* gas limit, recipient, value, data: together in every type. */
static int read_call(ghost_tx *tx, const rlp_item *fields) {
    int reason = read_uint64(&tx->gas_limit, &fields[0]);
    if (reason == GHOST_TX_OK) reason = read_to(tx, &fields[1]);
    if (reason == GHOST_TX_OK) reason = read_uint256(tx->value, &fields[2]);
    if (reason == GHOST_TX_OK) reason = read_data(tx, &fields[3]);
    return reason;
}

static int read_gas_price(ghost_tx *tx, const rlp_item *item) {
    int reason = read_uint256(tx->max_fee_per_gas, item);
    memcpy(tx->max_priority_fee_per_gas, tx->max_fee_per_gas, 32);
    return reason;
}

/* parity is what the wire has: y_parity, or v of a legacy transaction. */
static int read_signature(ghost_tx *tx, uint8_t parity[32], const rlp_item *fields) {
    int reason = read_uint256(parity, &fields[0]);
    if (reason == GHOST_TX_OK) reason = read_uint256(tx->r, &fields[1]);
    if (reason == GHOST_TX_OK) reason = read_uint256(tx->s, &fields[2]);
    return reason;
}

/* v is 27 or 28, or 35 and up with a chain id in it (EIP-155). */
static int read_v(ghost_tx *tx, const uint8_t v[32]) {
    static const uint8_t zeros[23];
    if (memcmp(v, zeros, sizeof zeros) != 0) {
        return GHOST_TX_FIELD_WIDTH;
    }
    unsigned __int128 value = 0;
    for (size_t i = sizeof zeros; i < 32; i++) {
        value = value << 8 | v[i];
    }
    if (value < 35) {
        tx->y_parity = value == 27 || value == 28 ? (uint8_t)(value - 27) : NO_POINT;
        return GHOST_TX_OK;
    }
    value -= 35;
    tx->has_chain_id = 1;
    tx->y_parity = (uint8_t)(value & 1);
    tx->chain_id = (uint64_t)(value >> 1);
    return value >> 65 == 0 ? GHOST_TX_OK : GHOST_TX_FIELD_WIDTH;
}

static int read_legacy(ghost_tx *tx, const rlp_item *fields) {
    uint8_t v[32];
    int reason = read_uint64(&tx->nonce, &fields[0]);
    if (reason == GHOST_TX_OK) reason = read_gas_price(tx, &fields[1]);
    if (reason == GHOST_TX_OK) reason = read_call(tx, &fields[2]);
    if (reason == GHOST_TX_OK) reason = read_signature(tx, v, &fields[6]);
    if (reason == GHOST_TX_OK) reason = read_v(tx, v);
    return reason;
}

/* What stands between the access list and the signature. */
static int read_own_fields(ghost_tx *tx, arena *memory, const rlp_item *fields) {
    if (tx->type == 3) {
        int reason = read_uint256(tx->max_fee_per_blob_gas, &fields[0]);
        if (reason == GHOST_TX_OK) {
            reason = read_hashes(&tx->blob_hashes, &tx->blob_count, memory, &fields[1]);
        }
        return reason;
    }
    if (tx->type == GHOST_TX_TYPE_FEE_CURRENCY) {
        return tx_read_optional_address(&tx->has_fee_token, tx->fee_token, &fields[0]);
    }
    return tx->type == 4 ? read_authorizations(tx, memory, &fields[0]) : GHOST_TX_OK;
}

static int read_typed(ghost_tx *tx, arena *memory, const rlp_item *fields) {
    const rlp_item *signature = first_unsigned(tx, fields);
    uint8_t parity[32];
    tx->has_chain_id = 1;
    int reason = read_uint64(&tx->chain_id, fields++);
    if (reason == GHOST_TX_OK) reason = read_uint64(&tx->nonce, fields++);
    if (tx->type == 1) {
        if (reason == GHOST_TX_OK) reason = read_gas_price(tx, fields++);
    } else {
        if (reason == GHOST_TX_OK) reason = read_uint256(tx->max_priority_fee_per_gas, fields++);
        if (reason == GHOST_TX_OK) reason = read_uint256(tx->max_fee_per_gas, fields++);
    }
    if (reason == GHOST_TX_OK) reason = read_call(tx, fields);
    if (reason == GHOST_TX_OK) reason = read_access_list(tx, memory, &fields[4]);
    if (reason == GHOST_TX_OK) reason = read_own_fields(tx, memory, &fields[5]);
    if (reason == GHOST_TX_OK) reason = read_signature(tx, parity, signature);
    if (reason == GHOST_TX_OK) {
        static const uint8_t zeros[31];
        bool is_small = memcmp(parity, zeros, sizeof zeros) == 0 && parity[31] <= 1;
        tx->y_parity = is_small ? parity[31] : NO_POINT;
    }
    return reason;
}

static int read_ghost(ghost_tx *tx, arena *memory, const rlp_item *fields) {
    tx->has_chain_id = 1;
    int reason = read_uint64(&tx->chain_id, &fields[0]);
    if (reason == GHOST_TX_OK) reason = read_uint64(&tx->nonce, &fields[1]);
    if (reason == GHOST_TX_OK) reason = read_uint256(tx->max_priority_fee_per_gas, &fields[2]);
    if (reason == GHOST_TX_OK) reason = read_uint256(tx->max_fee_per_gas, &fields[3]);
    if (reason == GHOST_TX_OK) reason = read_uint64(&tx->gas_limit, &fields[4]);
    if (reason == GHOST_TX_OK) reason = tx_read_calls(tx, memory, &fields[5]);
    if (reason == GHOST_TX_OK) reason = read_access_list(tx, memory, &fields[6]);
    if (reason == GHOST_TX_OK) {
        reason = tx_read_optional_address(&tx->has_fee_token, tx->fee_token, &fields[7]);
    }
    if (reason == GHOST_TX_OK) {
        reason = tx_read_optional_address(&tx->has_fee_payer, tx->fee_payer, &fields[8]);
    }
    return reason == GHOST_TX_OK ? tx_read_signatures(tx, &fields[9]) : reason;
}

static int read_fields(ghost_tx *tx, arena *memory, const rlp_item *fields) {
    if (tx->type == GHOST_TX_TYPE_GHOST) {
        return read_ghost(tx, memory, fields);
    }
    return tx->type == 0 ? read_legacy(tx, fields) : read_typed(tx, memory, fields);
}

/* y_parity is 0 or 1, 0 < r < n, 0 < s <= n/2 (EIP-2). */
static int check_numbers(uint8_t y_parity, const uint8_t r[32], const uint8_t s[32]) {
    static const uint8_t zero[32];
    if (y_parity > 1) {
        return GHOST_TX_Y_PARITY;
    }
    if (memcmp(r, zero, 32) == 0 || memcmp(r, order, 32) >= 0 || memcmp(s, zero, 32) == 0 ||
        memcmp(s, order, 32) >= 0) {
        return GHOST_TX_SIGNATURE_RANGE;
    }
    return memcmp(s, ghost_half_order, 32) > 0 ? GHOST_TX_HIGH_S : GHOST_TX_OK;
}

/* s and the parity are zero, r has no more bytes than an address. */
static bool is_marker(const ghost_tx *tx) {
    static const uint8_t zeros[32];
    return tx->y_parity == 0 && memcmp(tx->s, zeros, 32) == 0 && memcmp(tx->r, zeros, 12) == 0;
}

/* The numbers of every signature of secp256k1 are in range: the sender's, then the fee payer's. */
static int check_signatures(ghost_tx *tx, uint32_t flags) {
    int reason = GHOST_TX_OK;
    bool has_numbers = tx->signature.scheme == GHOST_SCHEME_SECP256K1;
    tx->is_unsigned = (flags & GHOST_TX_UNSIGNED) && has_numbers && is_marker(tx);
    if (has_numbers && !tx->is_unsigned) {
        reason = check_numbers(tx->y_parity, tx->r, tx->s);
    }
    const ghost_tx_signature *payer = &tx->payer_signature;
    if (reason == GHOST_TX_OK && tx->has_fee_payer && payer->scheme == GHOST_SCHEME_SECP256K1) {
        reason = check_numbers(payer->signature[64], payer->signature, payer->signature + 32);
    }
    return reason;
}

/* ---- what is signed ---- */

/* The fields before the signature under a list head of their own; a legacy transaction with a chain
 * id appends it and two zeros (EIP-155). */
static void describe_message(signing_message *message, const ghost_tx *tx, const rlp_item *fields) {
    message->body = fields[0].head;
    message->body_length = (size_t)(first_unsigned(tx, fields)->head - fields[0].head);
    message->suffix_length = 0;
    if (tx->type == 0 && tx->has_chain_id) {
        uint8_t chain_id[8];
        for (int i = 0; i < 8; i++) {
            chain_id[i] = (uint8_t)(tx->chain_id >> (56 - 8 * i));
        }
        size_t length = rlp_write_integer(message->suffix, chain_id, 8);
        message->suffix[length] = 0x80;
        message->suffix[length + 1] = 0x80;
        message->suffix_length = (uint8_t)(length + 2);
    }
    size_t typed = tx->type != 0;
    message->prefix[0] = tx->type;
    message->prefix_length =
        (uint8_t)(typed + rlp_write_list_head(message->prefix + typed,
                                              message->body_length + message->suffix_length));
}

/* ---- the whole ---- */

/* Finds the canonical bytes inside the network form of a type-3 transaction: the type byte and
 * *inner. A sidecar is [transaction, blobs, commitments, proofs] (EIP-4844), or with a version 1 in
 * second place (EIP-7594). *inner stays empty when the bytes are no such form. */
static int unwrap_blob(ghost_view *inner, const uint8_t *bytes, size_t length) {
    rlp_cursor cursor = {bytes + 1, bytes + length};
    rlp_item outer, items[5];
    size_t count;
    if (!rlp_next(&cursor, &outer)) {
        return GHOST_TX_RLP_MALFORMED;
    }
    if (!outer.is_list || outer.length == 0 || outer.payload[0] < 0xc0) {
        return GHOST_TX_OK;
    }
    if (cursor.at != cursor.end) {
        return GHOST_TX_TRAILING_BYTES;
    }
    if (!rlp_split(rlp_inside(&outer), items, 5, &count)) {
        return GHOST_TX_RLP_MALFORMED;
    }
    if (count != 4 && count != 5) {
        return GHOST_TX_FIELD_COUNT;
    }
    if (count == 5 && items[1].is_list) {
        return GHOST_TX_RLP_MALFORMED;
    }
    if (count == 5 && (items[1].length != 1 || items[1].payload[0] != 1)) {
        return GHOST_TX_FIELD_WIDTH;
    }
    for (size_t i = count - 3; i < count; i++) {
        if (!items[i].is_list) {
            return GHOST_TX_RLP_MALFORMED;
        }
    }
    *inner = (ghost_view){items[0].head, (size_t)(rlp_end(&items[0]) - items[0].head)};
    return GHOST_TX_OK;
}

/* Whether the payload of a string in a block can be a typed transaction: it has a type byte, which
 * a legacy list inside a string has not, and no blob sidecar. */
static bool is_typed_form(const rlp_item *item) {
    if (item->length == 0 || item->payload[0] >= 0x80) {
        return false;
    }
    ghost_view inner = {0};
    if (item->payload[0] == 3 && item->length > 1) {
        unwrap_blob(&inner, item->payload, item->length);
    }
    return inner.data == NULL;
}

int ghost_tx_split(size_t *bounds, size_t *count, const uint8_t *data, size_t length,
                   size_t count_max) {
    rlp_cursor cursor = {data, data + length};
    size_t found = 0;
    while (cursor.at != cursor.end) {
        rlp_item item;
        if (!rlp_next(&cursor, &item) || (!item.is_list && !is_typed_form(&item))) {
            return GHOST_MALFORMED;
        }
        if (found == count_max) {
            return GHOST_LIMIT;
        }
        bounds[2 * found] = (size_t)((item.is_list ? item.head : item.payload) - data);
        bounds[2 * found + 1] = (size_t)(rlp_end(&item) - data);
        found++;
    }
    *count = found;
    return GHOST_OK;
}

/* Copies the canonical bytes into memory as tx->raw. */
static int take_raw(ghost_tx *tx, arena *memory, const uint8_t *bytes, size_t length,
                    size_t size_max) {
    if (length == 0) {
        return GHOST_TX_RLP_MALFORMED;
    }
    ghost_view inner = {0};
    if (bytes[0] == 3) {
        int reason = unwrap_blob(&inner, bytes, length);
        if (reason != GHOST_TX_OK) {
            return reason;
        }
    }
    size_t canonical = inner.data == NULL ? length : 1 + inner.length;
    if (canonical > size_max) {
        return GHOST_TX_SIZE;
    }
    uint8_t *raw = arena_take(memory, canonical);
    if (raw == NULL) {
        return TX_NO_MEMORY;
    }
    raw[0] = bytes[0];
    memcpy(raw + 1, inner.data == NULL ? bytes + 1 : inner.data, canonical - 1);
    tx->raw = raw;
    tx->raw_length = canonical;
    tx->sidecar_length = length - canonical;
    return GHOST_TX_OK;
}

/* Splits tx->raw into the fields of its type. */
static int split_fields(ghost_tx *tx, rlp_item fields[FIELDS_MAX]) {
    uint8_t first = tx->raw[0];
    if (first >= 0x80 && first < 0xc0) {
        return GHOST_TX_RLP_MALFORMED;
    }
    if (first < 0xc0 && (first == 0 || field_count(first) == 0)) {
        return GHOST_TX_TYPE_UNKNOWN;
    }
    tx->type = first < 0xc0 ? first : 0;
    rlp_cursor cursor = {tx->raw + (tx->type != 0), tx->raw + tx->raw_length};
    rlp_item outer;
    size_t count;
    if (!rlp_next(&cursor, &outer) || !outer.is_list) {
        return GHOST_TX_RLP_MALFORMED;
    }
    if (cursor.at != cursor.end) {
        return GHOST_TX_TRAILING_BYTES;
    }
    if (!rlp_split(rlp_inside(&outer), fields, FIELDS_MAX, &count)) {
        return GHOST_TX_RLP_MALFORMED;
    }
    return count == field_count(tx->type) ? GHOST_TX_OK : GHOST_TX_FIELD_COUNT;
}

int tx_decode(ghost_tx *tx, signing_message *message, arena *memory, const uint8_t *bytes,
              size_t length, size_t size_max, uint32_t flags) {
    rlp_item fields[FIELDS_MAX];
    arena_mark mark = arena_now(memory);
    memset(tx, 0, sizeof *tx);
    int reason = take_raw(tx, memory, bytes, length, size_max);
    if (reason == GHOST_TX_OK) reason = split_fields(tx, fields);
    if (reason == GHOST_TX_OK) reason = read_fields(tx, memory, fields);
    if (reason == GHOST_TX_OK) reason = check_signatures(tx, flags);
    if (reason == GHOST_TX_OK) {
        describe_message(message, tx, fields);
        return GHOST_OK;
    }
    arena_rewind(memory, mark);
    memset(tx, 0, sizeof *tx);
    tx->reason = reason == TX_NO_MEMORY ? GHOST_TX_RLP_MALFORMED : reason;
    return reason == TX_NO_MEMORY ? GHOST_OUT_OF_MEMORY : GHOST_OK;
}

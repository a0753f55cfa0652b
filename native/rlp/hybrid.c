#include "hybrid.h"

#include "../keccak/keccak.h"
#include "fields.h"

enum {
    CALL_BYTES_MIN = 4,
    SIGNED_FIELDS = 9,
    PAYER_DOMAIN = 0x50,
    KEY_BYTES_MAX = 1952
};

static const struct {
    size_t key_length;
    size_t signature_length;
} schemes[] = {
    [GHOST_SCHEME_SECP256K1] = {0, 65},
    [GHOST_SCHEME_ED25519] = {32, 64},
    [GHOST_SCHEME_ML_DSA_65] = {KEY_BYTES_MAX, 3309},
};

static int read_call(ghost_tx_call *call, const rlp_item *item, bool is_only) {
    rlp_item parts[3];
    memset(call, 0, sizeof *call);
    int reason = read_tuple(parts, 3, item);
    if (reason != GHOST_TX_OK) {
        return reason;
    }
    call->is_create = !parts[0].is_list && parts[0].length == 0;
    if (call->is_create && !is_only) {
        return GHOST_TX_CALL_CREATES;
    }
    reason = call->is_create ? GHOST_TX_OK : read_fixed(call->to, &parts[0], 20);
    if (reason == GHOST_TX_OK) reason = read_uint256(call->value, &parts[1]);
    if (reason == GHOST_TX_OK && parts[2].is_list) reason = GHOST_TX_RLP_MALFORMED;
    if (reason == GHOST_TX_OK) {
        call->data = parts[2].payload;
        call->data_length = parts[2].length;
    }
    return reason;
}

/* Adds value to the big-endian sum. Returns whether it still fits. */
static bool add_value(uint8_t sum[32], const uint8_t value[32]) {
    unsigned carry = 0;
    for (int i = 31; i >= 0; i--) {
        carry += (unsigned)sum[i] + value[i];
        sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return carry == 0;
}

int tx_read_calls(ghost_tx *tx, arena *memory, const rlp_item *list) {
    size_t count;
    int reason = count_parts(&count, list);
    if (reason != GHOST_TX_OK) {
        return reason;
    }
    if (count == 0 || count > TX_CALLS_MAX) {
        return GHOST_TX_CALL_COUNT;
    }
    ghost_tx_call *calls = take_parts(memory, list, count, CALL_BYTES_MIN, sizeof *calls);
    if (calls == NULL) {
        return TX_NO_MEMORY;
    }
    tx->calls = calls;
    tx->call_count = count;
    rlp_cursor cursor = rlp_inside(list);
    rlp_item item;
    for (ghost_tx_call *call = calls; reason == GHOST_TX_OK && rlp_next(&cursor, &item); call++) {
        reason = read_call(call, &item, count == 1);
        if (reason == GHOST_TX_OK && !add_value(tx->value, call->value)) {
            reason = GHOST_TX_FIELD_WIDTH;
        }
    }
    if (reason == GHOST_TX_OK) {
        memcpy(tx->to, calls->to, 20);
        tx->is_create = calls->is_create;
        tx->data = calls->data;
        tx->data_length = calls->data_length;
    }
    return reason;
}

int tx_read_optional_address(uint8_t *present, uint8_t address[20], const rlp_item *item) {
    *present = item->is_list || item->length != 0;
    return *present ? read_fixed(address, item, 20) : GHOST_TX_OK;
}

/* parts are the scheme, the key and the signature. */
static int read_signature(ghost_tx_signature *out, const rlp_item parts[3]) {
    int reason = read_uint8(&out->scheme, &parts[0]);
    if (reason == GHOST_TX_OK && out->scheme >= sizeof schemes / sizeof *schemes) {
        reason = GHOST_TX_SIGNATURE_SCHEME;
    }
    if (reason == GHOST_TX_OK && (parts[1].is_list || parts[2].is_list)) {
        reason = GHOST_TX_RLP_MALFORMED;
    }
    if (reason == GHOST_TX_OK && (parts[1].length != schemes[out->scheme].key_length ||
                                  parts[2].length != schemes[out->scheme].signature_length)) {
        reason = GHOST_TX_SIGNATURE_LENGTH;
    }
    if (reason == GHOST_TX_OK) {
        out->key = parts[1].payload;
        out->key_length = parts[1].length;
        out->signature = parts[2].payload;
        out->signature_length = parts[2].length;
    }
    return reason;
}

static int read_payer_signature(ghost_tx *tx, const rlp_item *list) {
    rlp_item parts[3];
    size_t count;
    if (!list->is_list || !rlp_split(rlp_inside(list), parts, 3, &count)) {
        return GHOST_TX_RLP_MALFORMED;
    }
    if ((count != 0) != tx->has_fee_payer) {
        return GHOST_TX_PAYER_FORM;
    }
    if (count == 0) {
        return GHOST_TX_OK;
    }
    return count == 3 ? read_signature(&tx->payer_signature, parts) : GHOST_TX_FIELD_COUNT;
}

int tx_read_signatures(ghost_tx *tx, const rlp_item fields[2]) {
    rlp_item parts[3];
    int reason = read_tuple(parts, 3, &fields[0]);
    if (reason == GHOST_TX_OK) reason = read_signature(&tx->signature, parts);
    if (reason == GHOST_TX_OK) reason = read_payer_signature(tx, &fields[1]);
    if (reason == GHOST_TX_OK && tx->signature.scheme == GHOST_SCHEME_SECP256K1) {
        memcpy(tx->r, tx->signature.signature, 32);
        memcpy(tx->s, tx->signature.signature + 32, 32);
        tx->y_parity = tx->signature.signature[64];
    }
    return reason;
}

/* keccak256(0x47 || 0x50 || rlp([the first nine fields, sender])), so that a fee payer pays for
 * this sender and this nonce alone. The bytes were decoded before, so they split again. */
void tx_describe_payer_message(signing_message *message, const ghost_tx *tx) {
    rlp_cursor cursor = {tx->raw + 1, tx->raw + tx->raw_length};
    rlp_item item = {0};
    rlp_next(&cursor, &item);
    cursor = rlp_inside(&item);
    message->body = cursor.at;
    for (int i = 0; i < SIGNED_FIELDS; i++) {
        rlp_next(&cursor, &item);
    }
    message->body_length = (size_t)(cursor.at - message->body);
    message->suffix[0] = 0x80 + 20;
    memcpy(message->suffix + 1, tx->sender, 20);
    message->suffix_length = 21;
    message->prefix[0] = GHOST_TX_TYPE_GHOST;
    message->prefix[1] = PAYER_DOMAIN;
    message->prefix_length =
        (uint8_t)(2 + rlp_write_list_head(message->prefix + 2, message->body_length + 21));
}

void tx_key_address(uint8_t address[20], const ghost_tx_signature *signature) {
    uint8_t tagged[2 + KEY_BYTES_MAX], digest[32];
    tagged[0] = GHOST_TX_TYPE_GHOST;
    tagged[1] = signature->scheme;
    memcpy(tagged + 2, signature->key, signature->key_length);
    ghost_keccak256(digest, tagged, 2 + signature->key_length);
    memcpy(address, digest + 12, 20);
}

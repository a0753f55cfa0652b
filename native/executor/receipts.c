/* What a block leaves to be hashed: blooms, receipts, and the roots over them. */
#include "overlay.h"

enum {
    LOGS_AT_ONCE = 512,           /* hashed together for the blooms */
    MESSAGES_PER_LOG_MAX = 5,
    BLOOM_BYTES = 256
};

/* ---- blooms (Yellow Paper, M3:2048) ---- */

static void bloom_add(uint8_t bloom[BLOOM_BYTES], const uint8_t digest[32]) {
    for (int i = 0; i < 6; i += 2) {
        unsigned bit = ((unsigned)(digest[i] << 8) | digest[i + 1]) & 2047;
        bloom[BLOOM_BYTES - 1 - bit / 8] |= (uint8_t)(1u << (bit % 8));
    }
}

static bool same_as_before(const ghost_view *views, size_t last, const uint8_t *data,
                           size_t length) {
    return views[last].length == length && memcmp(views[last].data, data, length) == 0;
}

/* Hashes the addresses and topics of logs[first..end) in one batch, and tells in bloom_places
 * where each one's digest is. Neighbours mostly share their address and first topic (the event);
 * those are hashed once. */
static bool hash_logs(ghost_executor *executor, size_t first, size_t end) {
    size_t messages_max = (end - first) * MESSAGES_PER_LOG_MAX;
    executor->views.count = executor->digests.count = executor->bloom_places.count = 0;
    if (!LIST_RESERVE(executor->views, messages_max) ||
        !LIST_RESERVE(executor->digests, messages_max) ||
        !LIST_RESERVE(executor->bloom_places, messages_max))
        return false;
    ghost_view *views = executor->views.items;
    uint32_t *places = executor->bloom_places.items;
    uint32_t count = 0, last_address = 0, last_event = 0;
    for (size_t i = first; i < end; i++) {
        const ghost_log *log = &executor->state.logs.items[i];
        if (count == 0 || !same_as_before(views, last_address, log->address, 20)) {
            last_address = count;
            views[count++] = (ghost_view){log->address, 20};
        }
        *places++ = last_address;
        for (unsigned t = 0; t < log->topic_count; t++) {
            if (t == 0 && same_as_before(views, last_event, log->topics[0], 32)) {
                *places++ = last_event;
                continue;
            }
            if (t == 0)
                last_event = count;
            *places++ = count;
            views[count++] = (ghost_view){log->topics[t], 32};
        }
    }
    ghost_keccak256_views(executor->digests.items[0].bytes, views, count);
    return true;
}

/* The receipts are there, with their blooms still empty. */
static bool fill_blooms(ghost_executor *executor) {
    size_t log_count = executor->state.logs.count;
    const ghost_tx_outcome *outcome = executor->outcomes.items;
    for (size_t first = 0; first < log_count; first += LOGS_AT_ONCE) {
        size_t end = log_count - first < LOGS_AT_ONCE ? log_count : first + LOGS_AT_ONCE;
        if (!hash_logs(executor, first, end))
            return false;
        const ghost_hash *digests = executor->digests.items;
        const uint32_t *place = executor->bloom_places.items;
        for (size_t i = first; i < end; i++) {
            while (i >= outcome->log_first + outcome->log_count)
                outcome++;
            uint8_t *bloom = executor->receipts.items + outcome->bloom_offset;
            for (int k = 0; k <= executor->state.logs.items[i].topic_count; k++)
                bloom_add(bloom, digests[*place++].bytes);
        }
    }
    return true;
}

/* ---- RLP ---- */

static size_t bytes_of(uint64_t number) {
    return number == 0 ? 0 : (71 - (size_t)__builtin_clzll(number)) / 8;
}

static size_t number_size(uint64_t number) {
    return number < 0x80 ? 1 : 1 + bytes_of(number);
}

static size_t header_size(size_t length) {
    return length < 56 ? 1 : 1 + bytes_of(length);
}

static uint8_t *put_big_endian(uint8_t *out, uint64_t number) {
    size_t count = bytes_of(number);
    uint8_t bytes[8];
    store_be64(bytes, number);
    memcpy(out, bytes + 8 - count, count);
    return out + count;
}

/* short_form: 0x80 for strings, 0xc0 for lists. */
static uint8_t *put_header(uint8_t *out, uint8_t short_form, size_t length) {
    if (length < 56) {
        *out = (uint8_t)(short_form + length);
        return out + 1;
    }
    *out = (uint8_t)(short_form + 55 + bytes_of(length));
    return put_big_endian(out + 1, length);
}

static uint8_t *put_number(uint8_t *out, uint64_t number) {
    if (number != 0 && number < 0x80) {
        *out = (uint8_t)number;
        return out + 1;
    }
    return put_big_endian(put_header(out, 0x80, bytes_of(number)), number);
}

static uint8_t *put_string(uint8_t *out, const uint8_t *data, size_t length) {
    if (length == 1 && data[0] < 0x80) {
        *out = data[0];
        return out + 1;
    }
    out = put_header(out, 0x80, length);
    if (length != 0)
        memcpy(out, data, length);
    return out + length;
}

static size_t string_size(const uint8_t *data, size_t length) {
    return length == 1 && data[0] < 0x80 ? 1 : header_size(length) + length;
}

/* ---- receipts ---- */

static size_t log_payload(const ghost_log *log) {
    size_t topics = (size_t)log->topic_count * 33;
    return 21 + header_size(topics) + topics + string_size(log->data, log->data_length);
}

static uint8_t *put_log(uint8_t *out, const ghost_log *log) {
    out = put_header(out, 0xc0, log_payload(log));
    out = put_string(out, log->address, 20);
    out = put_header(out, 0xc0, (size_t)log->topic_count * 33);
    for (unsigned i = 0; i < log->topic_count; i++)
        out = put_string(out, log->topics[i], 32);
    return put_string(out, log->data, log->data_length);
}

static bool put_receipt(ghost_executor *executor, const ghost_tx *tx, ghost_tx_outcome *outcome) {
    const ghost_log *logs = executor->state.logs.items + outcome->log_first;
    size_t logs_size = 0;
    for (size_t i = 0; i < outcome->log_count; i++) {
        size_t payload = log_payload(&logs[i]);
        logs_size += header_size(payload) + payload;
    }
    size_t payload = 1 + number_size(outcome->cumulative_gas_used) +
                     header_size(BLOOM_BYTES) + BLOOM_BYTES + header_size(logs_size) + logs_size;
    size_t length = (tx->type != 0) + header_size(payload) + payload;
    if (!LIST_RESERVE(executor->receipts, length))
        return false;
    outcome->receipt_offset = executor->receipts.count;
    outcome->receipt_length = length;
    uint8_t *out = executor->receipts.items + executor->receipts.count;
    executor->receipts.count += length;
    if (tx->type != 0)
        *out++ = tx->type;
    out = put_header(out, 0xc0, payload);
    out = put_number(out, outcome->success);
    out = put_number(out, outcome->cumulative_gas_used);
    out = put_header(out, 0x80, BLOOM_BYTES);
    outcome->bloom_offset = (size_t)(out - executor->receipts.items);
    memset(out, 0, BLOOM_BYTES);
    out += BLOOM_BYTES;
    out = put_header(out, 0xc0, logs_size);
    for (size_t i = 0; i < outcome->log_count; i++)
        out = put_log(out, &logs[i]);
    return true;
}

static int withdrawals_root(ghost_executor *executor, const ghost_withdrawal *withdrawals,
                            size_t count, uint8_t root[32]) {
    enum { ITEM_MAX = 64 };
    executor->scratch.count = executor->views.count = 0;
    if (!LIST_RESERVE(executor->scratch, count * ITEM_MAX) ||
        !LIST_RESERVE(executor->views, count))
        return GHOST_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const ghost_withdrawal *item = &withdrawals[i];
        uint8_t *start = executor->scratch.items + i * ITEM_MAX;
        size_t payload = number_size(item->index) + number_size(item->validator_index) + 21 +
                         number_size(item->amount_gwei);
        uint8_t *out = put_header(start, 0xc0, payload);
        out = put_number(out, item->index);
        out = put_number(out, item->validator_index);
        out = put_string(out, item->address, 20);
        out = put_number(out, item->amount_gwei);
        executor->views.items[i] = (ghost_view){start, (size_t)(out - start)};
    }
    return ghost_merkle_ordered_root(root, executor->views.items, count);
}

/* Writes all receipts, and their blooms into them and into the block's. */
static bool put_receipts(ghost_executor *executor, const ghost_tx *transactions, size_t count,
                         uint8_t block_bloom[BLOOM_BYTES]) {
    ghost_tx_outcome *outcomes = executor->outcomes.items;
    executor->receipts.count = 0;
    for (size_t i = 0; i < count; i++)
        if (outcomes[i].included && !put_receipt(executor, &transactions[i], &outcomes[i]))
            return false;
    if (!fill_blooms(executor))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!outcomes[i].included || outcomes[i].log_count == 0)
            continue;
        const uint8_t *bloom = executor->receipts.items + outcomes[i].bloom_offset;
        for (size_t k = 0; k < BLOOM_BYTES; k++)
            block_bloom[k] |= bloom[k];
    }
    return true;
}

int receipts_build(ghost_executor *executor, const ghost_tx *transactions, size_t count,
                   const ghost_withdrawal *withdrawals, size_t withdrawal_count,
                   ghost_block_result *result) {
    if (!put_receipts(executor, transactions, count, result->bloom))
        return GHOST_OUT_OF_MEMORY;
    executor->views.count = 0;
    if (!LIST_RESERVE(executor->views, count))
        return GHOST_OUT_OF_MEMORY;
    const ghost_tx_outcome *outcomes = executor->outcomes.items;
    ghost_view *views = executor->views.items;
    size_t included = 0;
    for (size_t i = 0; i < count; i++)
        if (outcomes[i].included)
            views[included++] =
                (ghost_view){executor->receipts.items + outcomes[i].receipt_offset,
                             outcomes[i].receipt_length};
    int status = ghost_merkle_ordered_root(result->receipts_root, views, included);
    if (status != GHOST_OK)
        return status;
    included = 0;
    for (size_t i = 0; i < count; i++)
        if (outcomes[i].included)
            views[included++] = (ghost_view){transactions[i].raw, transactions[i].raw_length};
    status = ghost_merkle_ordered_root(result->transactions_root, views, included);
    if (status != GHOST_OK)
        return status;
    return withdrawals_root(executor, withdrawals, withdrawal_count, result->withdrawals_root);
}

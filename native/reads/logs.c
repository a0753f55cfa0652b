/* Pages of logs: read from the records of a block, and chosen from. */
#include "logs.h"

#include <stdbool.h>
#include <stdlib.h>

#include "../keccak/keccak.h"
#include "../rlp/reader.h"
#include "pages.h"
#include "text.h"

enum {
    TIMESTAMP_FIELD = 11, /* of a header */
    ENTRY_HEAD = 4 + 1 + 20,
    TOPICS_MAX = 4,
    LOG_JSON_BYTES = 1024, /* of a log, beside its data */
    WITHDRAWAL_BYTES = 44,
    BLOOM_BYTES = 256
};

/* Where a block's transactions and receipts stand. */
typedef struct records {
    const ghost_log_block *block;
    uint64_t timestamp;
    size_t count;
    const uint8_t *raw_lengths, *raws, *raws_end;
    const uint8_t *log_counts, *receipt_lengths, *receipts, *receipts_end;
} records;

typedef struct found_log {
    const uint8_t *address;
    const uint8_t *topics[TOPICS_MAX];
    size_t topic_count;
    const uint8_t *data;
    size_t data_length;
} found_log;

uint8_t *ghost_pages_reserve(page_buffer *out, size_t more) {
    if (out->length + more > out->room) {
        size_t room = 2 * (out->length + more);
        uint8_t *data = realloc(out->data, room);
        if (data == NULL) {
            return NULL;
        }
        out->data = data;
        out->room = room;
    }
    return out->data + out->length;
}

/* ---- which ---- */

static bool is_listed(const uint8_t *list, size_t count, const uint8_t *wanted, size_t bytes) {
    while (count > 0) {
        size_t middle = count / 2;
        int order = memcmp(wanted, list + middle * bytes, bytes);
        if (order == 0) {
            return true;
        }
        if (order > 0) {
            list += (middle + 1) * bytes;
            count -= middle + 1;
        } else {
            count = middle;
        }
    }
    return false;
}

static bool matches(const ghost_log_filter *filter, const uint8_t *address,
                    const uint8_t *const *topics, size_t topic_count) {
    if (topic_count < filter->positions) {
        return false;
    }
    if (filter->address_count != 0 &&
        !is_listed(filter->addresses, filter->address_count, address, 20)) {
        return false;
    }
    const uint8_t *list = filter->topics;
    for (size_t i = 0; i < filter->positions; i++) {
        size_t count = filter->topic_counts[i];
        if (count != 0 && !is_listed(list, count, topics[i], 32)) {
            return false;
        }
        list += 32 * count;
    }
    return true;
}

/* ---- reading ---- */

static bool read_number(const rlp_item *item, uint64_t *out) {
    if (item->is_list || item->length > 8) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < item->length; i++) {
        *out = *out << 8 | item->payload[i];
    }
    return true;
}

static bool read_header(records *of) {
    rlp_cursor cursor = {of->block->header.data, of->block->header.data + of->block->header.length};
    rlp_item item;
    if (!rlp_next(&cursor, &item) || !item.is_list) {
        return false;
    }
    cursor = rlp_inside(&item);
    for (int i = 0; i <= TIMESTAMP_FIELD; i++) {
        if (!rlp_next(&cursor, &item)) {
            return false;
        }
    }
    return read_number(&item, &of->timestamp);
}

static bool read_body(records *of) {
    const ghost_view *body = &of->block->body;
    if (body->length < 12) {
        return false;
    }
    uint64_t count = be32(body->data), header = be32(body->data + 4);
    uint64_t at = 12 + header + (uint64_t)be32(body->data + 8) * WITHDRAWAL_BYTES;
    if (count != of->count || at + 24 * count > body->length) {
        return false;
    }
    of->raw_lengths = body->data + at;
    of->raws = body->data + at + 24 * count;
    of->raws_end = body->data + body->length;
    return true;
}

static bool read_receipts(records *of) {
    const ghost_view *record = &of->block->receipts;
    if (record->length < 4) {
        return false;
    }
    uint64_t count = be32(record->data);
    if (4 + 18 * count > record->length) {
        return false;
    }
    of->count = count;
    of->log_counts = record->data + 4 + 10 * count;
    of->receipt_lengths = of->log_counts + 4 * count;
    of->receipts = of->receipt_lengths + 4 * count;
    of->receipts_end = record->data + record->length;
    return true;
}

static bool is_bytes(const rlp_item *item, size_t length) {
    return !item->is_list && item->length == length;
}

static bool read_log(const rlp_item *item, found_log *out) {
    rlp_item parts[3], topics[TOPICS_MAX];
    size_t count;
    if (!item->is_list || !rlp_split(rlp_inside(item), parts, 3, &count) || count != 3 ||
        !is_bytes(&parts[0], 20) || !parts[1].is_list || parts[2].is_list ||
        !rlp_split(rlp_inside(&parts[1]), topics, TOPICS_MAX, &count) || count > TOPICS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_bytes(&topics[i], 32)) {
            return false;
        }
        out->topics[i] = topics[i].payload;
    }
    out->address = parts[0].payload;
    out->topic_count = count;
    out->data = parts[2].payload;
    out->data_length = parts[2].length;
    return true;
}

/* ---- showing ---- */

static uint8_t *put_json(uint8_t *out, const records *of, const found_log *log,
                         const uint8_t transaction[32], size_t index, uint64_t log_index) {
    out = PUT_TEXT(out, "{\"address\":");
    out = put_data(out, log->address, 20);
    out = PUT_TEXT(out, ",\"topics\":[");
    for (size_t i = 0; i < log->topic_count; i++) {
        if (i != 0) {
            *out++ = ',';
        }
        out = put_data(out, log->topics[i], 32);
    }
    out = PUT_TEXT(out, "],\"data\":");
    out = put_data(out, log->data, log->data_length);
    out = PUT_TEXT(out, ",\"blockNumber\":");
    out = put_quantity_64(out, of->block->number);
    out = PUT_TEXT(out, ",\"transactionHash\":");
    out = put_data(out, transaction, 32);
    out = PUT_TEXT(out, ",\"transactionIndex\":");
    out = put_quantity_64(out, index);
    out = PUT_TEXT(out, ",\"blockHash\":");
    out = put_data(out, of->block->hash, 32);
    out = PUT_TEXT(out, ",\"blockTimestamp\":");
    out = put_quantity_64(out, of->timestamp);
    out = PUT_TEXT(out, ",\"logIndex\":");
    out = put_quantity_64(out, log_index);
    return PUT_TEXT(out, ",\"removed\":false}");
}

static bool put_entry(page_buffer *page, const records *of, const found_log *log,
                      const uint8_t transaction[32], size_t index, uint64_t log_index) {
    uint8_t *start = ghost_pages_reserve(page, ENTRY_HEAD + 32 * TOPICS_MAX + LOG_JSON_BYTES +
                                                   2 * log->data_length);
    if (start == NULL) {
        return false;
    }
    uint8_t *out = start + 4;
    *out++ = (uint8_t)log->topic_count;
    out = put_bytes(out, log->address, 20);
    for (size_t i = 0; i < log->topic_count; i++) {
        out = put_bytes(out, log->topics[i], 32);
    }
    uint8_t *end = put_json(out, of, log, transaction, index, log_index);
    uint32_t length = (uint32_t)(end - out);
    memcpy(start, &length, sizeof length);
    page->length += (size_t)(end - start);
    return true;
}

/* The logs of one receipt: type byte | [status, gas, bloom, logs]. */
static int put_receipt(page_buffer *page, const records *of, const ghost_log_filter *filter,
                       rlp_cursor receipt, ghost_view raw, size_t index, uint64_t log_index) {
    rlp_item item, parts[4];
    size_t count;
    if (receipt.at < receipt.end && *receipt.at < 0xc0) {
        receipt.at++;
    }
    if (!rlp_next(&receipt, &item) || receipt.at != receipt.end || !item.is_list ||
        !rlp_split(rlp_inside(&item), parts, 4, &count) || count != 4 || !parts[3].is_list) {
        return GHOST_MALFORMED;
    }
    uint8_t transaction[32];
    bool is_hashed = false;
    rlp_cursor logs = rlp_inside(&parts[3]);
    for (; logs.at != logs.end; log_index++) {
        found_log log;
        if (!rlp_next(&logs, &item) || !read_log(&item, &log)) {
            return GHOST_MALFORMED;
        }
        if (filter != NULL && !matches(filter, log.address, log.topics, log.topic_count)) {
            continue;
        }
        if (!is_hashed) {
            ghost_keccak256(transaction, raw.data, raw.length);
            is_hashed = true;
        }
        if (!put_entry(page, of, &log, transaction, index, log_index)) {
            return GHOST_OUT_OF_MEMORY;
        }
    }
    return GHOST_OK;
}

static int put_receipts(page_buffer *page, const records *of, const ghost_log_filter *filter) {
    const uint8_t *raw = of->raws, *receipt = of->receipts;
    uint64_t log_index = 0;
    for (size_t i = 0; i < of->count; i++) {
        uint32_t raw_length = be32(of->raw_lengths + 4 * i);
        uint32_t length = be32(of->receipt_lengths + 4 * i);
        if (raw_length > (size_t)(of->raws_end - raw) ||
            length > (size_t)(of->receipts_end - receipt)) {
            return GHOST_MALFORMED;
        }
        if (length != 0) {
            rlp_cursor cursor = {receipt, receipt + length};
            int status =
                put_receipt(page, of, filter, cursor, (ghost_view){raw, raw_length}, i, log_index);
            if (status != GHOST_OK) {
                return status;
            }
        }
        log_index += be32(of->log_counts + 4 * i);
        raw += raw_length;
        receipt += length;
    }
    return GHOST_OK;
}

int ghost_pages_put(page_buffer *page, const ghost_log_block *block,
                    const ghost_log_filter *filter) {
    records of = {.block = block};
    if (!read_header(&of) || !read_receipts(&of) || !read_body(&of)) {
        return GHOST_MALFORMED;
    }
    return put_receipts(page, &of, filter);
}

int ghost_logs_page(ghost_bytes *out, const ghost_log_block *block,
                    const ghost_log_filter *filter) {
    page_buffer page = {0};
    int status = ghost_pages_put(&page, block, filter);
    if (status != GHOST_OK) {
        free(page.data);
        page = (page_buffer){0};
    }
    *out = (ghost_bytes){page.data, page.length};
    return status;
}

/* ---- choosing ---- */

bool ghost_pages_select(page_buffer *out, const ghost_view *page, const ghost_log_filter *filter,
                        size_t *count) {
    const uint8_t *at = page->data, *end = page->data + page->length;
    while (at < end) {
        uint32_t length;
        memcpy(&length, at, sizeof length);
        size_t topic_count = at[4];
        const uint8_t *address = at + 5, *topics[TOPICS_MAX];
        for (size_t i = 0; i < topic_count; i++) {
            topics[i] = address + 20 + 32 * i;
        }
        const uint8_t *json = address + 20 + 32 * topic_count;
        at = json + length;
        if (!matches(filter, address, topics, topic_count)) {
            continue;
        }
        uint8_t *place = ghost_pages_reserve(out, length + 1);
        if (place == NULL) {
            return false;
        }
        if (out->length != 0) {
            *place++ = ',';
        }
        out->length = (size_t)(put_bytes(place, json, length) - out->data);
        ++*count;
    }
    return true;
}

/* ---- blooms ---- */

static bool may_hold(const uint8_t *bloom, const uint16_t *bits, const size_t *alternatives,
                     size_t groups) {
    for (size_t group = 0; group < groups; group++) {
        bool found = false;
        for (size_t i = 0; i < alternatives[group] && !found; i++) {
            const uint16_t *three = bits + 3 * i;
            found = true;
            for (int k = 0; k < 3 && found; k++) {
                found = bloom[BLOOM_BYTES - 1 - three[k] / 8] >> (three[k] % 8) & 1;
            }
        }
        if (!found) {
            return false;
        }
        bits += 3 * alternatives[group];
    }
    return true;
}

size_t ghost_blooms_scan(uint32_t *out, const uint8_t *blooms, size_t count, const uint16_t *bits,
                         const size_t *alternatives, size_t groups) {
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (may_hold(blooms + i * BLOOM_BYTES, bits, alternatives, groups)) {
            out[found++] = (uint32_t)i;
        }
    }
    return found;
}

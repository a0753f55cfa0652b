/* Requests in the form in which clients write them. Strict JSON without escapes, each member once;
 * what else is JSON too is not taken. */
#include <stdlib.h>

#include "request.h"

enum { ID_DIGITS_MAX = 18 };

/* The rest of the body. base: where it begins, which places count from. */
typedef struct cursor {
    uint8_t *base;
    uint8_t *at;
    uint8_t *end;
} cursor;

/* Text without its quotes. */
typedef struct text {
    uint8_t *bytes;
    size_t length;
} text;

static void skip_space(cursor *cursor) {
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\n' ||
                                        *cursor->at == '\r' || *cursor->at == '\t')) {
        cursor->at++;
    }
}

/* Takes that byte, with the space around it. */
static bool take(cursor *cursor, uint8_t byte) {
    skip_space(cursor);
    if (cursor->at == cursor->end || *cursor->at != byte) {
        return false;
    }
    cursor->at++;
    skip_space(cursor);
    return true;
}

static bool take_text(cursor *cursor, text *out) {
    if (cursor->at == cursor->end || *cursor->at != '"') {
        return false;
    }
    uint8_t *at = cursor->at + 1;
    out->bytes = at;
    while (at < cursor->end && *at != '"') {
        if (*at < 0x20 || *at > 0x7e || *at == '\\') {
            return false;
        }
        at++;
    }
    if (at == cursor->end) {
        return false;
    }
    out->length = (size_t)(at - out->bytes);
    cursor->at = at + 1;
    return true;
}

static bool is_text(const text *found, const char *wanted) {
    return found->length == strlen(wanted) && memcmp(found->bytes, wanted, found->length) == 0;
}

/* The name of an object's member and the colon after it. */
static bool take_name(cursor *cursor, text *out) {
    return take_text(cursor, out) && take(cursor, ':');
}

/* After an item of an object or array: whether another follows. False in *more at its end. */
static bool take_next(cursor *cursor, uint8_t closing, bool *more) {
    *more = take(cursor, ',');
    return *more || take(cursor, closing);
}

/* ---- hexadecimal ---- */

static int digit_value(uint8_t digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    uint8_t lower = digit | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Decodes 0x and an even number of digits into out, which may be where they stand. */
static bool decode(const text *found, uint8_t *out, size_t *length) {
    if (found->length < 2 || found->length % 2 != 0 || found->bytes[0] != '0' ||
        found->bytes[1] != 'x') {
        return false;
    }
    *length = found->length / 2 - 1;
    const uint8_t *digits = found->bytes + 2;
    for (size_t i = 0; i < *length; i++) {
        int high = digit_value(digits[2 * i]), low = digit_value(digits[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool take_address(cursor *cursor, uint8_t address[20]) {
    text found;
    size_t length;
    return take_text(cursor, &found) && found.length == 42 && decode(&found, address, &length);
}

/* ---- parameters ---- */

static bool take_data(cursor *cursor, read_item *item) {
    text found;
    size_t length;
    if (!take_text(cursor, &found) || !decode(&found, found.bytes, &length)) {
        return false;
    }
    item->data_at = (uint32_t)(found.bytes - cursor->base);
    item->data_length = (uint32_t)length;
    return true;
}

/* A message without value, fee or gas of its own. */
static bool take_message(cursor *cursor, read_item *item) {
    bool has_to = false, has_data = false, has_sender = false, more = true;
    if (!take(cursor, '{')) {
        return false;
    }
    while (more) {
        text name;
        bool is_good = take_name(cursor, &name);
        if (is_good && !has_to && is_text(&name, "to")) {
            is_good = has_to = take_address(cursor, item->address);
        } else if (is_good && !has_data && (is_text(&name, "data") || is_text(&name, "input"))) {
            is_good = has_data = take_data(cursor, item);
        } else if (is_good && !has_sender && is_text(&name, "from")) {
            is_good = has_sender = take_address(cursor, item->sender);
        } else {
            return false;
        }
        if (!is_good || !take_next(cursor, '}', &more)) {
            return false;
        }
    }
    return has_to;
}

/* Nothing more, or "latest" and nothing more. */
static bool take_block(cursor *cursor) {
    bool more;
    text found;
    if (!take_next(cursor, ']', &more)) {
        return false;
    }
    if (!more) {
        return true;
    }
    return take_text(cursor, &found) && is_text(&found, "latest") && take(cursor, ']');
}

static bool take_params(cursor *cursor, read_item *item) {
    if (!take(cursor, '[')) {
        return false;
    }
    switch (item->method) {
    case READ_BALANCE:
    case READ_NONCE:
        return take_address(cursor, item->address) && take_block(cursor);
    case READ_CALL:
        return take_message(cursor, item) && take_block(cursor);
    default:
        return take(cursor, ']');
    }
}

static bool find_method(const text *name, read_item *item) {
    static const char *const names[] = {
        [READ_BLOCK_NUMBER] = "eth_blockNumber",
        [READ_CHAIN_ID] = "eth_chainId",
        [READ_BALANCE] = "eth_getBalance",
        [READ_NONCE] = "eth_getTransactionCount",
        [READ_CALL] = "eth_call",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (is_text(name, names[i])) {
            item->method = (uint8_t)i;
            return true;
        }
    }
    return false;
}

/* ---- calls ---- */

/* A whole number, written as it will be written again, or text. */
static bool take_id(cursor *cursor, read_item *item) {
    uint8_t *start = cursor->at;
    text found;
    if (!take_text(cursor, &found)) {
        while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
            cursor->at++;
        }
        size_t digits = (size_t)(cursor->at - start);
        if (digits == 0 || digits > ID_DIGITS_MAX || (digits > 1 && *start == '0')) {
            return false;
        }
    }
    item->id_at = (uint32_t)(start - cursor->base);
    item->id_length = (uint32_t)(cursor->at - start);
    return true;
}

/* One call. What its parameters mean depends on the method, which may come after them. */
static bool take_call(cursor *cursor, read_item *item) {
    memset(item, 0, sizeof *item);
    bool has_version = false, has_id = false, has_method = false, more = true;
    uint8_t *params = NULL, *params_end = NULL;
    if (!take(cursor, '{')) {
        return false;
    }
    while (more) {
        text name, value;
        bool is_good = take_name(cursor, &name);
        if (is_good && !has_version && is_text(&name, "jsonrpc")) {
            is_good = has_version = take_text(cursor, &value) && is_text(&value, "2.0");
        } else if (is_good && !has_id && is_text(&name, "id")) {
            is_good = has_id = take_id(cursor, item);
        } else if (is_good && !has_method && is_text(&name, "method")) {
            is_good = has_method = take_text(cursor, &value) && find_method(&value, item);
        } else if (is_good && has_method && params == NULL && is_text(&name, "params")) {
            params = cursor->at;
            is_good = take_params(cursor, item);
            params_end = cursor->at;
        } else {
            return false;
        }
        if (!is_good || !take_next(cursor, '}', &more)) {
            return false;
        }
    }
    bool needs_params = item->method != READ_BLOCK_NUMBER && item->method != READ_CHAIN_ID;
    return has_version && has_id && has_method && (params_end != NULL || !needs_params);
}

static bool reserve(ghost_reads *reads, size_t length, size_t items) {
    if (length > reads->body_room) {
        uint8_t *body = realloc(reads->body, length);
        if (body == NULL) {
            return false;
        }
        reads->body = body;
        reads->body_room = length;
    }
    if (items <= reads->item_room) {
        return true;
    }
    size_t room = 2 * items;
    read_item *grown = realloc(reads->items, room * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    reads->items = grown;
    reads->item_room = room;
    return true;
}

static bool take_calls(ghost_reads *reads, cursor *cursor, size_t items_max) {
    bool more = true;
    while (more) {
        if (reads->item_count == items_max || !reserve(reads, 0, reads->item_count + 1) ||
            !take_call(cursor, &reads->items[reads->item_count])) {
            return false;
        }
        reads->item_count++;
        more = false;
        if (reads->is_batch && !take_next(cursor, ']', &more)) {
            return false;
        }
    }
    return cursor->at == cursor->end;
}

size_t ghost_reads_parse(ghost_reads *reads, const uint8_t *body, size_t length, size_t items_max) {
    reads->item_count = reads->answered = reads->text_length = 0;
    if (length == 0 || length > UINT32_MAX || !reserve(reads, length, 1)) {
        return 0;
    }
    memcpy(reads->body, body, length);
    cursor cursor = {reads->body, reads->body, reads->body + length};
    skip_space(&cursor);
    reads->is_batch = take(&cursor, '[');
    if (!take_calls(reads, &cursor, items_max)) {
        reads->item_count = 0;
    }
    return reads->item_count;
}

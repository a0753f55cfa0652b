/* Answers, one item after the other, as long as they can be given here. */
#include <stdlib.h>
#include <time.h>

#include "request.h"
#include "text.h"

enum {
    FRAME_BYTES = 80, /* of an answer, beside its id and result */
    QUANTITY_BYTES = 68,
    SLICE_BYTES = 256 * 1024, /* of answers in one run */
    CALL_FLAGS = GHOST_CALL_NO_NONCE_CHECK | GHOST_CALL_NO_EOA_CHECK | GHOST_CALL_NO_GAS_CAP |
        GHOST_CALL_NO_BASE_FEE
};

ghost_reads *ghost_reads_new(void) {
    return calloc(1, sizeof(ghost_reads));
}

void ghost_reads_free(ghost_reads *reads) {
    if (reads == NULL) {
        return;
    }
    free(reads->body);
    free(reads->items);
    free(reads->text);
    free(reads);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool make_room(ghost_reads *reads, size_t more) {
    size_t wanted = reads->text_length + more;
    if (wanted <= reads->text_room) {
        return true;
    }
    uint8_t *text = realloc(reads->text, 2 * wanted);
    if (text == NULL) {
        return false;
    }
    reads->text = text;
    reads->text_room = 2 * wanted;
    return true;
}

/* Where the next item's answer begins; there is room for one of that size. */
static uint8_t *begin_answer(ghost_reads *reads) {
    uint8_t *out = reads->text + reads->text_length;
    if (reads->is_batch) {
        *out++ = reads->answered == 0 ? '[' : ',';
    }
    return out;
}

static void end_answer(ghost_reads *reads, uint8_t *out) {
    reads->answered++;
    if (reads->is_batch && reads->answered == reads->item_count) {
        *out++ = ']';
    }
    reads->text_length = (size_t)(out - reads->text);
}

static void show(const ghost_reads *reads, bool is_elsewhere, ghost_reads_answer *answer) {
    answer->text = reads->text;
    answer->length = reads->text_length;
    answer->answered = reads->answered;
    answer->is_elsewhere = is_elsewhere;
}

/* A result that is a quantity or data. Keeps within the bound. */
static int put_answer(ghost_reads *reads, const read_item *item, const uint8_t *result,
                      size_t length, bool is_quantity) {
    size_t size = FRAME_BYTES + item->id_length + (is_quantity ? QUANTITY_BYTES : 2 * length);
    if (reads->text_length + size > reads->text_max) {
        return GHOST_LIMIT;
    }
    if (!make_room(reads, size)) {
        return GHOST_OUT_OF_MEMORY;
    }
    uint8_t *out = begin_answer(reads);
    out = PUT_TEXT(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    out = put_bytes(out, reads->body + item->id_at, item->id_length);
    out = PUT_TEXT(out, ",\"result\":");
    out = is_quantity ? put_quantity(out, result, length) : put_data(out, result, length);
    *out++ = '}';
    end_answer(reads, out);
    return GHOST_OK;
}

static int put_number(ghost_reads *reads, const read_item *item, uint64_t number) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    }
    return put_answer(reads, item, bytes, sizeof bytes, true);
}

static int answer_account(ghost_reads *reads, ghost_executor *executor, const read_item *item) {
    ghost_account_record record;
    int found = ghost_executor_account(executor, item->address, &record);
    if (found < 0) {
        return -found;
    }
    if (item->method == READ_NONCE) {
        return put_number(reads, item, record.nonce);
    }
    return put_answer(reads, item, record.balance, 32, true);
}

/* GHOST_REFUSED when the message fails, or more gas might have changed something. */
static int answer_call(ghost_reads *reads, ghost_executor *executor, const ghost_reads_head *head,
                       const read_item *item) {
    ghost_tx *tx = &reads->tx;
    ghost_call_outcome outcome;
    tx->type = 2;
    tx->gas_limit = head->gas_max;
    memcpy(tx->sender, item->sender, 20);
    memcpy(tx->to, item->address, 20);
    tx->data = reads->body + item->data_at;
    tx->data_length = item->data_length;
    int status = ghost_executor_call(executor, head->env, tx, CALL_FLAGS, &outcome);
    if (status != GHOST_OK) {
        return status;
    }
    if (!outcome.success || outcome.gas_mattered) {
        return GHOST_REFUSED;
    }
    return put_answer(reads, item, outcome.output, outcome.output_length, false);
}

static int answer_item(ghost_reads *reads, ghost_executor *executor, const ghost_reads_head *head,
                       const read_item *item) {
    switch (item->method) {
    case READ_BLOCK_NUMBER:
        return put_number(reads, item, head->env->number);
    case READ_CHAIN_ID:
        return put_number(reads, item, head->chain_id);
    case READ_CALL:
        return answer_call(reads, executor, head, item);
    default:
        return answer_account(reads, executor, item);
    }
}

/* Asks together for the accounts of the next items, from an item on that asks for one. */
static int expect_accounts(ghost_reads *reads, ghost_executor *executor, size_t *expected) {
    if (reads->answered < *expected || reads->items[reads->answered].method == READ_CALL) {
        return GHOST_OK;
    }
    uint8_t addresses[20 * GHOST_ACCOUNTS_AT_ONCE];
    size_t count = 0, next = reads->answered;
    for (; next < reads->item_count && count < GHOST_ACCOUNTS_AT_ONCE; next++) {
        const read_item *item = &reads->items[next];
        if (item->method == READ_BALANCE || item->method == READ_NONCE) {
            memcpy(addresses + 20 * count++, item->address, 20);
        }
    }
    *expected = next;
    return count < 2 ? GHOST_OK : ghost_executor_load_accounts(executor, addresses, count);
}

int ghost_reads_run(ghost_reads *reads, ghost_executor *executor, const ghost_reads_head *head,
                    size_t answer_bytes_max, ghost_reads_answer *answer) {
    reads->text_max = answer_bytes_max;
    uint64_t end_ns = now_ns() + head->slice_ns;
    size_t end_length = reads->text_length + SLICE_BYTES;
    int status = GHOST_OK;
    size_t expected = 0;
    do {
        if (reads->answered == reads->item_count) {
            break;
        }
        status = expect_accounts(reads, executor, &expected);
        if (status == GHOST_OK) {
            status = answer_item(reads, executor, head, &reads->items[reads->answered]);
        }
    } while (status == GHOST_OK && reads->text_length < end_length && now_ns() < end_ns);
    ghost_executor_evict(executor);
    bool is_elsewhere = status == GHOST_REFUSED || status == GHOST_LIMIT;
    show(reads, is_elsewhere, answer);
    return is_elsewhere ? GHOST_OK : status;
}

int ghost_reads_put(ghost_reads *reads, const uint8_t *text, size_t length,
                    ghost_reads_answer *answer) {
    if (!make_room(reads, length + FRAME_BYTES)) {
        return GHOST_OUT_OF_MEMORY;
    }
    end_answer(reads, put_bytes(begin_answer(reads), text, length));
    show(reads, false, answer);
    return GHOST_OK;
}

size_t ghost_reads_memory(const ghost_reads *reads) {
    return sizeof *reads + reads->body_room + reads->item_room * sizeof(read_item) +
           reads->text_room;
}

/* What a block asks of the consensus layer (EIP-7685): deposits, withdrawals, consolidations. */
#include <stdlib.h>

#include "../precompiles/precompiles.h"
#include "overlay.h"

enum {
    DEPOSIT_EVENT_BYTES = 576,
    DEPOSIT_REQUEST_BYTES = 192,
    REQUEST_DEPOSIT = 0
};

void requests_clear(ghost_executor *executor) {
    for (size_t i = 0; i < executor->request_count; i++)
        free(executor->request_bytes[i]);
    executor->request_count = 0;
}

bool requests_add(ghost_executor *executor, uint8_t type, const uint8_t *data, size_t length) {
    if (length == 0)
        return true;
    uint8_t *bytes = malloc(length + 1);
    if (bytes == NULL)
        return false;
    bytes[0] = type;
    memcpy(bytes + 1, data, length);
    executor->request_bytes[executor->request_count] = bytes;
    executor->requests[executor->request_count++] = (ghost_view){bytes, length + 1};
    return true;
}

/* keccak256("DepositEvent(bytes,bytes,bytes,bytes,bytes)") */
static const uint8_t deposit_event[32] = {
    0x64, 0x9b, 0xbc, 0x62, 0xd0, 0xe3, 0x13, 0x42, 0xaf, 0xea, 0x4e, 0x5c, 0xd8, 0x2d, 0x40, 0x49,
    0xe7, 0xe1, 0xee, 0x91, 0x2f, 0xc0, 0x88, 0x9a, 0xa7, 0x90, 0x80, 0x3b, 0xe3, 0x90, 0x38, 0xc5};

static bool word_is(const uint8_t *word, uint64_t value) {
    u256 number = u256_from_be(word);
    return u256_fits_u64(&number) && number.limbs[0] == value;
}

/* The five byte strings of the event, at the only offsets that EIP-6110 lets them have. */
static const struct deposit_field {
    uint16_t head;                /* of the word that holds the offset */
    uint16_t offset;              /* of the word that holds the length */
    uint16_t length;
} deposit_fields[5] = {{0, 160, 48}, {32, 256, 32}, {64, 320, 8}, {96, 384, 96}, {128, 512, 8}};

static bool parse_deposit(uint8_t request[DEPOSIT_REQUEST_BYTES], const ghost_log *log) {
    if (log->data_length != DEPOSIT_EVENT_BYTES)
        return false;
    for (size_t i = 0; i < 5; i++) {
        const struct deposit_field *field = &deposit_fields[i];
        if (!word_is(log->data + field->head, field->offset) ||
            !word_is(log->data + field->offset, field->length))
            return false;
        memcpy(request, log->data + field->offset + 32, field->length);
        request += field->length;
    }
    return true;
}

int requests_add_deposits(ghost_executor *executor, const uint8_t deposit_contract[20],
                          int *block_reason) {
    const ghost_state *state = &executor->state;
    executor->deposits.count = 0;
    for (size_t i = 0; i < state->logs.count; i++) {
        const ghost_log *log = &state->logs.items[i];
        if (memcmp(log->address, deposit_contract, 20) != 0 || log->topic_count == 0 ||
            memcmp(log->topics[0], deposit_event, 32) != 0)
            continue;
        if (!LIST_RESERVE(executor->deposits, DEPOSIT_REQUEST_BYTES))
            return GHOST_OUT_OF_MEMORY;
        if (!parse_deposit(executor->deposits.items + executor->deposits.count, log)) {
            *block_reason = GHOST_BLOCK_DEPOSIT_LAYOUT;
            return GHOST_OK;
        }
        executor->deposits.count += DEPOSIT_REQUEST_BYTES;
    }
    bool added = requests_add(executor, REQUEST_DEPOSIT, executor->deposits.items,
                              executor->deposits.count);
    return added ? GHOST_OK : GHOST_OUT_OF_MEMORY;
}

/* SHA-256 is wanted here only, and the precompile of that name has it. */
static int sha256(uint8_t digest[32], const uint8_t *data, size_t length) {
    static const uint8_t address[20] = {[19] = 2};
    ghost_precompile_result answer = {0};
    int status = ghost_precompile_run(&answer, GHOST_FORK_PRAGUE, address, data, length,
                                      UINT64_MAX);
    if (status == GHOST_OK && answer.output_length != 32)
        status = GHOST_OUT_OF_MEMORY;
    if (status == GHOST_OK)
        memcpy(digest, answer.output, 32);
    free(answer.output);
    return status;
}

int requests_hash(ghost_executor *executor, uint8_t hash[32]) {
    uint8_t digests[REQUEST_KINDS * 32];
    for (size_t i = 0; i < executor->request_count; i++) {
        int status = sha256(digests + 32 * i, executor->requests[i].data,
                            executor->requests[i].length);
        if (status != GHOST_OK)
            return status;
    }
    return sha256(hash, digests, 32 * executor->request_count);
}

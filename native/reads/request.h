/* Requests as this folder's files share them. */
#ifndef GHOST_READS_REQUEST_H
#define GHOST_READS_REQUEST_H

#include <stdbool.h>
#include <string.h>

#include "reads.h"

enum read_method { READ_BLOCK_NUMBER, READ_CHAIN_ID, READ_BALANCE, READ_NONCE, READ_CALL };

/* One call. Places are in the list's own copy of the body. */
typedef struct read_item {
    uint8_t method;      /* enum read_method */
    uint8_t address[20]; /* whose balance or nonce; the recipient */
    uint8_t sender[20];
    uint32_t id_at, id_length;     /* as it came, quotes included */
    uint32_t data_at, data_length; /* of a call, decoded in place */
} read_item;

struct ghost_reads {
    uint8_t *body;
    size_t body_room;
    read_item *items;
    size_t item_count, item_room;
    bool is_batch;
    size_t answered;
    uint8_t *text;
    size_t text_length, text_room, text_max;
    ghost_tx tx;
};

#endif

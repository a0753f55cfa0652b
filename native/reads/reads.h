/* The busiest reads of JSON-RPC, from the bytes of a request to the bytes of its answer: what most
 * clients ask most of the time, in the form in which nearly all of them ask it, of the head's
 * state.
 *
 * Nothing is refused here. What is not well known, in whatever way, is not taken, and whoever asked
 * goes the ordinary way, whose answers these are byte for byte:
 *
 *     eth_blockNumber, eth_chainId          no parameters
 *     eth_getBalance, eth_getTransactionCount   an address, "latest" or nothing
 *     eth_call                              to, data or input, from; "latest" or nothing
 *
 * alone or in a batch of nothing else. Ids are whole numbers of at most 18 digits, or plain text.
 */
#ifndef GHOST_READS_H
#define GHOST_READS_H

#include "../common/common.h"
#include "../executor/executor.h"

typedef struct ghost_reads ghost_reads;

/* What is asked about, and how far to go. */
typedef struct ghost_reads_head {
    const ghost_block_env *env; /* of the head itself, number included */
    uint64_t chain_id;
    uint64_t gas_max;  /* of each call */
    uint64_t slice_ns; /* after which no other item is begun; one always is */
} ghost_reads_head;

/* What a run gave. */
typedef struct ghost_reads_answer {
    const uint8_t *text; /* when all items are answered: the answer to the body. Valid until the
                            next parse, run or put */
    size_t length;
    size_t answered;      /* items answered so far, from the first on */
    uint8_t is_elsewhere; /* the next item has to be asked elsewhere */
} ghost_reads_answer;

/* NULL when memory is out. One thread at a time. */
ghost_reads *ghost_reads_new(void);
void ghost_reads_free(ghost_reads *reads);

/* How many items the body has, all of them to be answered here; 0: it is not taken. The body need
 * not outlive the call. */
size_t ghost_reads_parse(ghost_reads *reads, const uint8_t *body, size_t length, size_t items_max);
/* Answers items from the first unanswered on. GHOST_OK, or what stopped the executor, with the
 * items before that answered. */
int ghost_reads_run(ghost_reads *reads, ghost_executor *executor, const ghost_reads_head *head,
                    size_t answer_bytes_max, ghost_reads_answer *answer);
/* Answers the next item with what was found elsewhere. GHOST_OK or GHOST_OUT_OF_MEMORY. */
int ghost_reads_put(ghost_reads *reads, const uint8_t *text, size_t length,
                    ghost_reads_answer *answer);
/* Bytes held. */
size_t ghost_reads_memory(const ghost_reads *reads);

#endif

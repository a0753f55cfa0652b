/* The calls of the four tokens that blocks are full of, without Python. */
#ifndef GHOST_TOKENS_H
#define GHOST_TOKENS_H

#include "../executor/host.h"

enum ghost_token_id {
    GHOST_TOKEN_GCC = 1,          /* balances are native balances */
    GHOST_TOKEN_SPIRIT = 2,
    GHOST_TOKEN_MANA = 3,
    GHOST_TOKEN_GHOST = 4
};

/* mint(address,uint256) of MANA. */
enum { GHOST_TOKEN_MINT = 0x40c10f19 };

/* Answers the frame's call when it is one of transfer, transferFrom, approve, balanceOf, allowance,
 * totalSupply, decimals of a token, or staking's of mint: then true, with the exit in *exit and the
 * output in result. Gas, accesses in their order, logs, errors and output are those of
 * ghostchain/contracts/tokens.py. */
bool ghost_token_answer(ghost_frame *frame, uint8_t id, ghost_call_result *result, int *exit);

#endif

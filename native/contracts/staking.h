/* The one call of staking that every block makes, without Python. */
#ifndef GHOST_STAKING_H
#define GHOST_STAKING_H

#include "../executor/host.h"

enum { GHOST_STAKING_ID = 0x10 };

/* Answers the frame's call when it is onBlock(uint256) from the system address: then true, with the
 * exit in *exit and the output in result. Gas, accesses in their order, logs, errors and output are
 * those of ghostchain/contracts/staking/rewards.py. */
bool ghost_staking_answer(ghost_frame *frame, uint8_t id, ghost_call_result *result, int *exit);

#endif

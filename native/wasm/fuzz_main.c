/* A libFuzzer target of the module checker alone, with the coverage of its C code:
 *
 *     cd native && clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -I . \
 *         wasm/fuzz_main.c wasm/{externals,meter,module,parse,validate}.c -o /tmp/fuzz_wasm
 *     /tmp/fuzz_wasm -max_len=4096 CORPUS
 *
 * A module is refused with a reason, or rewritten to one of bounded size that has the same memory;
 * preparing is a function of the bytes, so that twice gives the same. */
#include <stdlib.h>
#include <string.h>

#include "module.h"

/* One instruction of a byte or two may need a check and a call of the host around it. */
enum { GROWTH_MAX = 40, ROOM = 4096 };

static void require(int holds) {
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    ghost_wasm_module first;
    ghost_wasm_module second;
    const int status = ghost_wasm_prepare(&first, data, length);
    require(ghost_wasm_prepare(&second, data, length) == status);
    if (status == GHOST_REFUSED) {
        require(first.reason != GHOST_WASM_OK && ghost_wasm_reason_name(first.reason) != NULL);
        require(first.offset <= length && strlen(first.message) < sizeof first.message);
        require(strcmp(first.message, second.message) == 0);
        return 0;
    }
    require(status == GHOST_OK && first.reason == GHOST_WASM_OK);
    require(first.code.length <= GROWTH_MAX * length + ROOM);
    require(first.memory_initial <= first.memory_maximum);
    require(first.code.length == second.code.length);
    require(memcmp(first.code.data, second.code.data, first.code.length) == 0);
    free(first.code.data);
    free(second.code.data);
    return 0;
}

/* A counter: what docs/examples/solidity/Counter.sol is, in C. */
#include "ghost.h"

/* Changed(address indexed by, uint256 number) */
static const word CHANGED =
    WORD(0xb52dda022b6c1a1f, 0x40905a85f257f689, 0xaa5d69d850e49cf9, 0x39d688fbe5af5946);

static void set(word number) {
    store(word_of(0), number);
    address by = sender();
    word topics[2] = {CHANGED, word_of_address(&by)};
    log_word(topics, 2, number);
}

static void add(word addend) {
    word number = load(word_of(0)), sum;
    if (word_add(&sum, &number, &addend)) revert_overflow();
    set(sum);
}

void contract(void) {
    not_payable();
    switch (selector()) {
    case 0x8381f58a: /* number() */
        return result_word(load(word_of(0)));
    case 0x3fb5c1cb: /* setNumber(uint256) */
        return set(argument_word(0));
    case 0xd09de08a: /* increment() */
        return add(word_of(1));
    case 0x1003e2d2: /* add(uint256) */
        return add(argument_word(0));
    default:
        revert(NULL, 0);
    }
}

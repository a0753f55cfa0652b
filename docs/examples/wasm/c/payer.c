/* Pays with any ERC-20 token, whatever engine the token runs in: a contract in C that calls EVM
 * contracts. The sender approves this contract first. */
#include "ghost.h"

/* Paid(address indexed token, address indexed to, uint256 amount) */
static const word PAID =
    WORD(0x9def4e2802183d68, 0xce90a6a226a2962b, 0x59298616c27165f1, 0x2c4fbc5c84cdd778);

enum slot { PAYMENTS };

/* The token's answer to a call: true, or nothing at all, as some tokens have it. */
static bool token_agreed(const address *token, uint32_t returned) {
    if (returned == 0) return account_code_size(token) > 0;
    word answer = word_of(0);
    read_return_data(&answer, 0, sizeof answer);
    word yes = word_of(1);
    return returned == 32 && word_equal(&answer, &yes);
}

static void pay(address token, address to, word amount) {
    address from = sender();
    uint8_t data[4 + 96] = {0x23, 0xb8, 0x72, 0xdd}; /* transferFrom(address,address,uint256) */
    word arguments[3] = {word_of_address(&from), word_of_address(&to), amount};
    copy(data + 4, arguments, sizeof arguments);
    if (!token_agreed(&token, call_or_revert(&token, data, sizeof data)))
        revert_with(0x34e4a710 /* NotPaid() */, NULL, 0);

    word payments = load(word_of(PAYMENTS)), one = word_of(1);
    word_add(&payments, &payments, &one);
    store(word_of(PAYMENTS), payments);
    word topics[3] = {PAID, word_of_address(&token), word_of_address(&to)};
    log_word(topics, 3, amount);
}

/* What holder has of token. */
static word holding(address token, address holder) {
    uint8_t data[4 + 32] = {0x70, 0xa0, 0x82, 0x31}; /* balanceOf(address) */
    word argument = word_of_address(&holder), balance;
    copy(data + 4, &argument, sizeof argument);
    if (static_call_or_revert(&token, data, sizeof data) != 32) revert(NULL, 0);
    read_return_data(&balance, 0, sizeof balance);
    return balance;
}

void contract(void) {
    not_payable();
    switch (selector()) {
    case 0xb3d76188: /* pay(address,address,uint256) */
        return pay(argument_address(0), argument_address(1), argument_word(2));
    case 0x06280750: /* holding(address,address) */
        return result_word(holding(argument_address(0), argument_address(1)));
    case 0xa6d23e10: /* payments() */
        return result_word(load(word_of(PAYMENTS)));
    default:
        revert(NULL, 0);
    }
}

/* An ERC-20 token with OpenZeppelin's errors and storage layout. Its supply is made once, by
 * initialize: a WASM module has no constructor, so deploy and initialize it in one transaction
 * (docs/examples/solidity/Deployer.sol) or be the first to call. */
#include "ghost.h"

/* Transfer(address indexed from, address indexed to, uint256 value) */
static const word TRANSFER =
    WORD(0xddf252ad1be2c89b, 0x69c2b068fc378daa, 0x952ba7f163c4a116, 0x28f55a4df523b3ef);
/* Approval(address indexed owner, address indexed spender, uint256 value) */
static const word APPROVAL =
    WORD(0x8c5be1e5ebec7d5b, 0xd14f71427d1e84f3, 0xdd0314c0f7b2291e, 0x5b200ac8c7c3b925);

enum slot { BALANCES, ALLOWANCES, TOTAL_SUPPLY };

static const address NOBODY;

static word balance_slot(const address *holder) {
    return slot_of_address(holder, word_of(BALANCES));
}

static word allowance_slot(const address *owner, const address *spender) {
    return slot_of_address(spender, slot_of_address(owner, word_of(ALLOWANCES)));
}

static void log_event(word event, const address *first, const address *second, word value) {
    word topics[3] = {event, word_of_address(first), word_of_address(second)};
    log_word(topics, 3, value);
}

_Noreturn static void revert_with_address(uint32_t error, const address *which) {
    word argument = word_of_address(which);
    revert_with(error, &argument, 1);
}

_Noreturn static void revert_short(uint32_t error, const address *who, word present, word needed) {
    word arguments[3] = {word_of_address(who), present, needed};
    revert_with(error, arguments, 3);
}

static void credit(const address *to, word value) {
    word balance = load(balance_slot(to));
    word_add(&balance, &balance, &value); /* no more than the supply, which fits */
    store(balance_slot(to), balance);
}

static void transfer(const address *from, const address *to, word value) {
    if (address_is_zero(from))
        revert_with_address(0x96c6fd1e /* ERC20InvalidSender(address) */, from);
    if (address_is_zero(to))
        revert_with_address(0xec442f05 /* ERC20InvalidReceiver(address) */, to);
    word balance = load(balance_slot(from)), rest;
    if (word_subtract(&rest, &balance, &value))
        /* ERC20InsufficientBalance(address,uint256,uint256) */
        revert_short(0xe450d38c, from, balance, value);
    store(balance_slot(from), rest);
    credit(to, value);
    log_event(TRANSFER, from, to, value);
}

static void set_allowance(const address *owner, const address *spender, word value) {
    if (address_is_zero(owner))
        revert_with_address(0xe602df05 /* ERC20InvalidApprover(address) */, owner);
    if (address_is_zero(spender))
        revert_with_address(0x94280d62 /* ERC20InvalidSpender(address) */, spender);
    store(allowance_slot(owner, spender), value);
}

/* An allowance of 2^256 - 1 is without end. */
static void spend_allowance(const address *owner, const address *spender, word value) {
    word allowance = load(allowance_slot(owner, spender)), rest;
    if (word_is_max(&allowance)) return;
    if (word_subtract(&rest, &allowance, &value))
        /* ERC20InsufficientAllowance(address,uint256,uint256) */
        revert_short(0xfb8f41b2, spender, allowance, value);
    set_allowance(owner, spender, rest);
}

static void initialize(address holder, word supply) {
    word present = load(word_of(TOTAL_SUPPLY));
    if (!word_is_zero(&present)) revert_with(0x0dc149f0 /* AlreadyInitialized() */, NULL, 0);
    if (address_is_zero(&holder))
        revert_with_address(0xec442f05 /* ERC20InvalidReceiver(address) */, &holder);
    store(word_of(TOTAL_SUPPLY), supply);
    credit(&holder, supply);
    log_event(TRANSFER, &NOBODY, &holder, supply);
}

static void call_transfer(address to, word value) {
    address from = sender();
    transfer(&from, &to, value);
    result_bool(true);
}

static void call_transfer_from(address from, address to, word value) {
    address spender = sender();
    spend_allowance(&from, &spender, value);
    transfer(&from, &to, value);
    result_bool(true);
}

static void call_approve(address spender, word value) {
    address owner = sender();
    set_allowance(&owner, &spender, value);
    log_event(APPROVAL, &owner, &spender, value);
    result_bool(true);
}

static word balance_of(address holder) { return load(balance_slot(&holder)); }

static word allowance(address owner, address spender) {
    return load(allowance_slot(&owner, &spender));
}

void contract(void) {
    not_payable();
    switch (selector()) {
    case 0x06fdde03: /* name() */
        return result_bytes("Wasm Token", 10);
    case 0x95d89b41: /* symbol() */
        return result_bytes("WASM", 4);
    case 0x313ce567: /* decimals() */
        return result_word(word_of(18));
    case 0x18160ddd: /* totalSupply() */
        return result_word(load(word_of(TOTAL_SUPPLY)));
    case 0x70a08231: /* balanceOf(address) */
        return result_word(balance_of(argument_address(0)));
    case 0xdd62ed3e: /* allowance(address,address) */
        return result_word(allowance(argument_address(0), argument_address(1)));
    case 0xa9059cbb: /* transfer(address,uint256) */
        return call_transfer(argument_address(0), argument_word(1));
    case 0x23b872dd: /* transferFrom(address,address,uint256) */
        return call_transfer_from(argument_address(0), argument_address(1), argument_word(2));
    case 0x095ea7b3: /* approve(address,uint256) */
        return call_approve(argument_address(0), argument_word(1));
    case 0xcd6dc687: /* initialize(address,uint256) */
        return initialize(argument_address(0), argument_word(1));
    default:
        revert(NULL, 0);
    }
}

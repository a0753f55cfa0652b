/* Sorts what a caller sends, and numbers of its own making: work that is cheaper here than in the
 * EVM. docs/examples/solidity/Sorter.sol does the same. */
#include "ghost.h"

/* Moves the value at `at` down to where no child is greater. */
static void sink(uint64_t *heap, uint32_t at, uint32_t count) {
    uint64_t value = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= value) break;
        heap[at] = heap[child];
    }
    heap[at] = value;
}

/* Heapsort: ascending, in place, never more than n log n steps. */
static void sort(uint64_t *numbers, uint32_t count) {
    for (uint32_t at = count / 2; at-- > 0;) sink(numbers, at, count);
    for (uint32_t left = count; left > 1;) {
        left--;
        uint64_t greatest = numbers[0];
        numbers[0] = numbers[left];
        numbers[left] = greatest;
        sink(numbers, 0, left);
    }
}

/* sort(uint64[]): the same numbers, ascending. */
static void sort_argument(void) {
    uint32_t place = argument_uint32(0), whole = call_length - 4;
    if (place > whole || whole - place < 32) revert(NULL, 0);
    const word *words = (const word *)(call_data + 4 + place);
    uint64_t count = word_part(words, 3);
    for (unsigned part = 0; part < 3; part++)
        if (word_part(words, part) != 0) revert(NULL, 0);
    if (count > (whole - place - 32) / 32) revert(NULL, 0);
    uint64_t *numbers = take(8 * (uint32_t)count);
    for (uint32_t i = 0; i < count; i++) {
        for (unsigned part = 0; part < 3; part++)
            if (word_part(words + 1 + i, part) != 0) revert(NULL, 0);
        numbers[i] = word_part(words + 1 + i, 3);
    }
    sort(numbers, (uint32_t)count);
    word *out = take(64 + 32 * (uint32_t)count);
    out[0] = word_of(32);
    out[1] = word_of(count);
    for (uint32_t i = 0; i < count; i++) out[2 + i] = word_of(numbers[i]);
    write_result(out, 64 + 32 * (uint32_t)count);
}

/* Sorts count pseudorandom numbers (xorshift64 from seed, which must not be 0). The sum of each
 * times its place, modulo 2^64. */
static uint64_t sort_random(uint32_t count, uint64_t seed) {
    if (count > 1u << 20) revert(NULL, 0);
    uint64_t *numbers = take(8 * count), sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        numbers[i] = seed;
    }
    sort(numbers, count);
    for (uint32_t i = 0; i < count; i++) sum += numbers[i] * i;
    return sum;
}

void contract(void) {
    not_payable();
    switch (selector()) {
    case 0x4aef53ed: /* sort(uint64[]) */
        return sort_argument();
    case 0xa8ab7289: /* sortRandom(uint32,uint32) */
        return result_word(word_of(sort_random(argument_uint32(0), argument_uint32(1))));
    default:
        revert(NULL, 0);
    }
}

/* The interpreter, plainly: one switch, every check at every instruction. The fast one replaces it
 * file for file. */
#pragma GCC diagnostic ignored "-Wmisleading-indentation"
#include "evm.h"
#include "../keccak/keccak.h"
#include <stdlib.h>

static inline u256 plain_mul(const u256 *a, const u256 *b) {
    u256 out = {{0}};
    for (int i = 0; i < 4; i++) {
        uint64_t carry = 0;
        for (int j = 0; i + j < 4; j++) {
            unsigned __int128 t =
                (unsigned __int128)a->limbs[i] * b->limbs[j] + out.limbs[i + j] + carry;
            out.limbs[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
    }
    return out;
}
static inline unsigned plain_leading_zeros(const u256 *a) {
    for (int i = 3; i >= 0; i--) {
        if (a->limbs[i]) {
            return (unsigned)(3 - i) * 64 + (unsigned)__builtin_clzll(a->limbs[i]);
        }
    }
    return 256;
}

typedef unsigned __int128 u128;

static int limb_count(const uint64_t *limbs, int count) {
    while (count > 0 && limbs[count - 1] == 0) {
        count--;
    }
    return count;
}

/* (high, low) / divisor for high < divisor. */
static inline uint64_t divide_2by1(uint64_t high, uint64_t low, uint64_t divisor,
                                   uint64_t *remainder) {
#if defined(__x86_64__)
    uint64_t quotient;
    __asm__("divq %4"
            : "=a"(quotient), "=d"(*remainder)
            : "0"(low), "1"(high), "r"(divisor)
            : "cc");
    return quotient;
#else
    u128 value = ((u128)high << 64) | low;
    *remainder = (uint64_t)(value % divisor);
    return (uint64_t)(value / divisor);
#endif
}

static void divide_by_limb(uint64_t *quotient, uint64_t *remainder, const uint64_t *dividend,
                           int count, uint64_t divisor) {
    uint64_t rest = 0;
    for (int i = count - 1; i >= 0; i--) {
        quotient[i] = divide_2by1(rest, dividend[i], divisor, &rest);
    }
    *remainder = rest;
}

/* One quotient digit of Knuth D: subtracts digit * divisor from window, adding back when the
 * guess was one too large. */
static uint64_t divide_step(uint64_t *window, const uint64_t *divisor, int size) {
    uint64_t top = divisor[size - 1], next = divisor[size - 2], guess, rest;
    if (window[size] >= top) {
        guess = UINT64_MAX;
        u128 sum = (u128)window[size - 1] + top;
        rest = (uint64_t)sum;
        if (sum >> 64) {
            goto subtract;
        }
    } else {
        guess = divide_2by1(window[size], window[size - 1], top, &rest);
    }
    while ((u128)guess * next > (((u128)rest << 64) | window[size - 2])) {
        guess--;
        rest += top;
        if (rest < top) {
            break;
        }
    }
subtract:;
    uint64_t borrow = 0, carry = 0;
    for (int i = 0; i < size; i++) {
        u128 product = (u128)guess * divisor[i] + carry;
        carry = (uint64_t)(product >> 64);
        u128 difference = (u128)window[i] - (uint64_t)product - borrow;
        window[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    u128 difference = (u128)window[size] - carry - borrow;
    window[size] = (uint64_t)difference;
    if ((uint64_t)(difference >> 64) & 1) {
        guess--;
        carry = 0;
        for (int i = 0; i < size; i++) {
            u128 sum = (u128)window[i] + divisor[i] + carry;
            window[i] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        window[size] += carry;
    }
    return guess;
}

/* quotient (count limbs, may be NULL) and remainder (4 limbs) of dividend (count <= 8 limbs). */
static void divide(uint64_t *quotient, uint64_t remainder[4], const uint64_t *dividend, int count,
                   const uint64_t divisor[4]) {
    uint64_t scratch[8];
    uint64_t *digits = quotient ? quotient : scratch;
    memset(digits, 0, (size_t)count * 8);
    memset(remainder, 0, 32);
    int size = limb_count(divisor, 4);
    int used = limb_count(dividend, count);
    if (used < size) {
        memcpy(remainder, dividend, (size_t)used * 8);
        return;
    }
    if (size == 1) {
        divide_by_limb(digits, remainder, dividend, used, divisor[0]);
        return;
    }
    int shift = __builtin_clzll(divisor[size - 1]);
    uint64_t scaled[4], window[9];
    for (int i = size - 1; i >= 0; i--) {
        uint64_t below = i && shift ? divisor[i - 1] >> (64 - shift) : 0;
        scaled[i] = (divisor[i] << shift) | below;
    }
    window[used] = shift ? dividend[used - 1] >> (64 - shift) : 0;
    for (int i = used - 1; i >= 0; i--) {
        uint64_t below = i && shift ? dividend[i - 1] >> (64 - shift) : 0;
        window[i] = (dividend[i] << shift) | below;
    }
    for (int i = used - size; i >= 0; i--) {
        digits[i] = divide_step(window + i, scaled, size);
    }
    for (int i = 0; i < size; i++) {
        uint64_t above = shift && i + 1 < size ? window[i + 1] << (64 - shift) : 0;
        remainder[i] = (window[i] >> shift) | above;
    }
}

static void plain_divmod(u256 *quotient, u256 *remainder, const u256 *a, const u256 *b) {
    u256 q = {{0}}, r = {{0}};
    if (!u256_is_zero(b)) {
        divide(q.limbs, r.limbs, a->limbs, 4, b->limbs);
    }
    if (quotient) {
        *quotient = q;
    }
    if (remainder) {
        *remainder = r;
    }
}

static inline bool is_negative(const u256 *a) {
    return a->limbs[3] >> 63;
}

static inline u256 negate(const u256 *a) {
    u256 zero = {{0}}, out;
    u256_sub(&out, &zero, a);
    return out;
}

static u256 plain_sdiv(const u256 *a, const u256 *b) {
    u256 x = is_negative(a) ? negate(a) : *a, y = is_negative(b) ? negate(b) : *b, q;
    plain_divmod(&q, NULL, &x, &y);
    return is_negative(a) != is_negative(b) ? negate(&q) : q;
}

static u256 plain_smod(const u256 *a, const u256 *b) {
    u256 x = is_negative(a) ? negate(a) : *a, y = is_negative(b) ? negate(b) : *b, r;
    plain_divmod(NULL, &r, &x, &y);
    return is_negative(a) ? negate(&r) : r;
}

static u256 plain_addmod(const u256 *a, const u256 *b, const u256 *modulus) {
    u256 sum, out = {{0}};
    bool carry = u256_add(&sum, a, b);
    if (u256_is_zero(modulus)) {
        return out;
    }
    uint64_t wide[5] = {sum.limbs[0], sum.limbs[1], sum.limbs[2], sum.limbs[3], carry};
    divide(NULL, out.limbs, wide, 5, modulus->limbs);
    return out;
}

static u256 plain_mulmod(const u256 *a, const u256 *b, const u256 *modulus) {
    u256 out = {{0}};
    if (u256_is_zero(modulus)) {
        return out;
    }
    uint64_t wide[8] = {0};
    for (int i = 0; i < 4; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 4; j++) {
            u128 t = (u128)a->limbs[i] * b->limbs[j] + wide[i + j] + carry;
            wide[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        wide[i + 4] = carry;
    }
    divide(NULL, out.limbs, wide, 8, modulus->limbs);
    return out;
}

static u256 plain_exp(const u256 *base, const u256 *exponent) {
    u256 result = u256_from_u64(1), power = *base;
    int bits = 256 - (int)plain_leading_zeros(exponent);
    for (int i = 0; i < bits; i++) {
        if (exponent->limbs[i / 64] >> (i % 64) & 1) {
            result = plain_mul(&result, &power);
        }
        power = plain_mul(&power, &power);
    }
    return result;
}

#define STACK_MAX 1024
#define FRAMES (1026)
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

typedef struct frame_memory {
    u256 *stack;
    uint8_t *bytes;
    size_t capacity;
} frame_memory;

struct ghost_evm_memory {
    frame_memory frames[FRAMES];
};

ghost_evm_memory *ghost_evm_memory_new(void) {
    return calloc(1, sizeof(ghost_evm_memory));
}
void ghost_evm_memory_free(ghost_evm_memory *m) {
    if (!m) {
        return;
    }
    for (int i = 0; i < FRAMES; i++) {
        free(m->frames[i].stack);
        free(m->frames[i].bytes);
    }
    free(m);
}

typedef struct analysis {
    size_t size;
    uint64_t bits[];
} analysis;
void *ghost_evm_analyse(const uint8_t *code, size_t length) {
    size_t words = (length + 63) / 64 + 1;
    analysis *a = calloc(1, sizeof(*a) + words * 8);
    if (!a) {
        return NULL;
    }
    a->size = sizeof(*a) + words * 8;
    for (size_t i = 0; i < length; i++) {
        uint8_t op = code[i];
        if (op == 0x5b) {
            a->bits[i >> 6] |= 1ull << (i & 63);
        } else if (op >= 0x60 && op <= 0x7f) {
            i += op - 0x5f;
        }
    }
    return a;
}
void ghost_evm_analysis_free(void *a) {
    free(a);
}
size_t ghost_evm_analysis_size(const void *a) {
    return ((const analysis *)a)->size;
}

static inline u256 mul(const u256 *a, const u256 *b) {
    return plain_mul(a, b);
}

typedef struct frame {
    ghost_vm *vm;
    const ghost_message *message;
    ghost_account *self;
    const ghost_code *code;
    frame_memory *fm;
    uint8_t *mem;
    size_t mem_size;
    int64_t gas;
    const uint8_t *ret;
    size_t ret_len;
    int exit;
} frame;

static inline int64_t words_cost(uint64_t words) {
    return (int64_t)(3 * words + words * words / 512);
}

static bool expand(frame *f, uint64_t offset, uint64_t length) {
    if (length == 0) {
        return true;
    }
    if (unlikely(offset > 0xffffffffull || length > 0xffffffffull)) {
        f->exit = GHOST_EXIT_OUT_OF_GAS;
        return false;
    }
    uint64_t end = offset + length;
    if (end <= f->mem_size) {
        return true;
    }
    uint64_t words = (end + 31) / 32;
    int64_t cost = words_cost(words) - words_cost(f->mem_size / 32);
    if ((f->gas -= cost) < 0) {
        f->exit = GHOST_EXIT_OUT_OF_GAS;
        return false;
    }
    size_t want = words * 32;
    if (want > f->fm->capacity) {
        size_t cap = f->fm->capacity ? f->fm->capacity : 4096;
        while (cap < want) {
            cap *= 2;
        }
        uint8_t *p = realloc(f->fm->bytes, cap);
        if (!p) {
            f->vm->status = GHOST_OUT_OF_MEMORY;
            f->exit = GHOST_EXIT_ABORT;
            return false;
        }
        f->fm->bytes = p;
        f->fm->capacity = cap;
        f->mem = p;
    }
    memset(f->mem + f->mem_size, 0, want - f->mem_size);
    f->mem_size = want;
    return true;
}
static bool expand_u(frame *f, const u256 *offset, const u256 *length) {
    if (u256_is_zero(length)) {
        return true;
    }
    if (!u256_fits_u64(offset) || !u256_fits_u64(length)) {
        f->exit = GHOST_EXIT_OUT_OF_GAS;
        return false;
    }
    return expand(f, offset->limbs[0], length->limbs[0]);
}
static bool take(frame *f, uint64_t gas) {
    if (gas > (uint64_t)f->gas) {
        f->exit = GHOST_EXIT_OUT_OF_GAS;
        return false;
    }
    f->gas -= (int64_t)gas;
    return true;
}
static inline uint64_t words(uint64_t n) {
    return (n + 31) / 32;
}

static void copy_padded(uint8_t *dst, const u256 *src_off, uint64_t len, const uint8_t *src,
                        size_t src_len) {
    uint64_t off = u256_fits_u64(src_off) ? src_off->limbs[0] : UINT64_MAX;
    uint64_t have = off < src_len ? src_len - off : 0;
    if (have > len) {
        have = len;
    }
    if (have) {
        memcpy(dst, src + off, have);
    }
    if (len > have) {
        memset(dst + have, 0, len - have);
    }
}
static bool copy_op(frame *f, const u256 *dst, const u256 *src, const u256 *len,
                    const uint8_t *data, size_t data_len) {
    if (!u256_fits_u64(len) || len->limbs[0] > 0xffffffffull) {
        f->exit = GHOST_EXIT_OUT_OF_GAS;
        return false;
    }
    if (!take(f, 3 * words(len->limbs[0]))) {
        return false;
    }
    if (!expand_u(f, dst, len)) {
        return false;
    }
    if (len->limbs[0]) {
        copy_padded(f->mem + dst->limbs[0], src, len->limbs[0], data, data_len);
    }
    return true;
}

static bool op_sstore(frame *f, const u256 *key, const u256 *value) {
    if (f->message->is_static) {
        f->exit = GHOST_EXIT_STATIC_VIOLATION;
        return false;
    }
    if (f->gas <= 2300) {
        f->exit = GHOST_EXIT_OUT_OF_GAS;
        return false;
    }
    bool cold;
    ghost_slot *s = ghost_state_access_slot(f->vm->state, f->self, key, &cold);
    if (!s) {
        f->exit = GHOST_EXIT_ABORT;
        return false;
    }
    uint64_t cost = cold ? 2100 : 0;
    int64_t refund = 0;
    bool same = u256_equal(&s->value, value);
    if (same) {
        cost += 100;
    } else if (u256_equal(&s->original, &s->value)) {
        cost += u256_is_zero(&s->original) ? 20000 : 2900;
        if (!u256_is_zero(&s->original) && u256_is_zero(value)) {
            refund += 4800;
        }
    } else {
        cost += 100;
        if (!u256_is_zero(&s->original)) {
            if (u256_is_zero(&s->value)) {
                refund -= 4800;
            } else if (u256_is_zero(value)) {
                refund += 4800;
            }
        }
        if (u256_equal(&s->original, value)) {
            refund += u256_is_zero(&s->original) ? 20000 - 100 : 5000 - 2100 - 100;
        }
    }
    if (!take(f, cost)) {
        return false;
    }
    if (refund) {
        ghost_state_refund(f->vm->state, refund);
    }
    if (!same) {
        ghost_state_store_slot(f->vm->state, f->self, s, value);
    }
    return true;
}

static bool op_log(frame *f, u256 *sp, unsigned topics) {
    if (f->message->is_static) {
        f->exit = GHOST_EXIT_STATIC_VIOLATION;
        return false;
    }
    const u256 *off = sp, *len = sp - 1;
    if (!u256_fits_u64(len) || len->limbs[0] > 0xffffffffull) {
        f->exit = GHOST_EXIT_OUT_OF_GAS;
        return false;
    }
    if (!take(f, 375 + 375 * topics + 8 * len->limbs[0])) {
        return false;
    }
    if (!expand_u(f, off, len)) {
        return false;
    }
    u256 t[4];
    for (unsigned i = 0; i < topics; i++) {
        t[i] = sp[-2 - (int)i];
    }
    ghost_state_log(f->vm->state, &f->self->address, t, topics,
                    len->limbs[0] ? f->mem + off->limbs[0] : NULL, len->limbs[0]);
    return true;
}

static bool account_op(frame *f, const u256 *word, ghost_account **out) {
    ghost_address a = u256_to_address(word);
    bool cold;
    ghost_account *acc = ghost_state_access_account(f->vm->state, &a, &cold);
    if (!acc) {
        f->exit = GHOST_EXIT_ABORT;
        return false;
    }
    *out = acc;
    return take(f, cold ? 2600 : 100);
}

/* sp points at top. Pops args, returns new sp or NULL. */
static u256 *op_call(frame *f, u256 *sp, int kind) {
    bool has_value = kind == GHOST_CALL || kind == GHOST_CALLCODE;
    u256 gas_word = sp[0], addr_word = sp[-1], value = {{0}};
    u256 *a = sp - 2;
    if (has_value) {
        value = *a;
        a--;
    }
    u256 in_off = a[0], in_len = a[-1], out_off = a[-2], out_len = a[-3];
    u256 *result_at = a - 3;
    bool moves = !u256_is_zero(&value);
    if (kind == GHOST_CALL && moves && f->message->is_static) {
        f->exit = GHOST_EXIT_STATIC_VIOLATION;
        return NULL;
    }
    if (!expand_u(f, &in_off, &in_len) || !expand_u(f, &out_off, &out_len)) {
        return NULL;
    }
    ghost_account *target;
    if (!account_op(f, &addr_word, &target)) {
        return NULL;
    }
    if (moves && !take(f, 9000)) {
        return NULL;
    }
    if (f->vm->fork >= GHOST_FORK_PRAGUE) {
        const ghost_code *c = ghost_state_code(f->vm->state, target);
        if (!c) {
            f->exit = GHOST_EXIT_ABORT;
            return NULL;
        }
        ghost_address delegate;
        if (ghost_code_delegate(c, &delegate)) {
            bool cold;
            if (!ghost_state_access_account(f->vm->state, &delegate, &cold)) {
                f->exit = GHOST_EXIT_ABORT;
                return NULL;
            }
            if (!take(f, cold ? 2600 : 100)) {
                return NULL;
            }
        }
    }
    if (kind == GHOST_CALL && moves && ghost_account_is_empty(target) && !take(f, 25000)) {
        return NULL;
    }
    uint64_t all = (uint64_t)f->gas - (uint64_t)f->gas / 64;
    uint64_t gas = u256_fits_u64(&gas_word) && gas_word.limbs[0] < all ? gas_word.limbs[0] : all;
    f->gas -= (int64_t)gas;
    if (moves) {
        gas += 2300;
    }
    ghost_message m = {.kind = (uint8_t)kind,
                       .is_static = f->message->is_static || kind == GHOST_STATICCALL,
                       .depth = (uint16_t)(f->message->depth + 1),
                       .gas = gas,
                       .value = value,
                       .input = u256_is_zero(&in_len) ? NULL : f->mem + in_off.limbs[0],
                       .input_length = in_len.limbs[0]};
    m.code_address = u256_to_address(&addr_word);
    if (kind == GHOST_CALL || kind == GHOST_STATICCALL) {
        m.recipient = m.code_address;
        m.sender = f->self->address;
    } else if (kind == GHOST_CALLCODE) {
        m.recipient = f->self->address;
        m.sender = f->self->address;
    } else {
        m.recipient = f->self->address;
        m.sender = f->message->sender;
        m.value = f->message->value;
    }
    ghost_call_result r = {0};
    ghost_call(f->vm, &m, &r);
    if (r.exit == GHOST_EXIT_ABORT) {
        f->exit = GHOST_EXIT_ABORT;
        return NULL;
    }
    f->gas += (int64_t)r.gas_left;
    bool keeps = r.exit == GHOST_EXIT_SUCCESS || r.exit == GHOST_EXIT_REVERT;
    f->ret = keeps ? r.output : NULL;
    f->ret_len = keeps ? r.output_length : 0;
    uint64_t n = out_len.limbs[0] < f->ret_len ? out_len.limbs[0] : f->ret_len;
    if (n) {
        memcpy(f->mem + out_off.limbs[0], f->ret, n);
    }
    *result_at = u256_from_u64(r.exit == GHOST_EXIT_SUCCESS);
    return result_at;
}

static u256 *op_create(frame *f, u256 *sp, int kind) {
    if (f->message->is_static) {
        f->exit = GHOST_EXIT_STATIC_VIOLATION;
        return NULL;
    }
    u256 value = sp[0], off = sp[-1], len = sp[-2], salt = {{0}};
    u256 *result_at = sp - 2;
    if (kind == GHOST_CREATE2) {
        salt = sp[-3];
        result_at = sp - 3;
    }
    if (!u256_fits_u64(&len) || len.limbs[0] > 49152) {
        f->exit = GHOST_EXIT_OUT_OF_GAS;
        return NULL;
    }
    uint64_t w = words(len.limbs[0]);
    if (!take(f, 32000 + 2 * w + (kind == GHOST_CREATE2 ? 6 * w : 0))) {
        return NULL;
    }
    if (!expand_u(f, &off, &len)) {
        return NULL;
    }
    uint64_t gas = (uint64_t)f->gas - (uint64_t)f->gas / 64;
    f->gas -= (int64_t)gas;
    ghost_message m = {.kind = (uint8_t)kind,
                       .is_static = false,
                       .depth = (uint16_t)(f->message->depth + 1),
                       .gas = gas,
                       .sender = f->self->address,
                       .value = value,
                       .salt = salt,
                       .input = len.limbs[0] ? f->mem + off.limbs[0] : NULL,
                       .input_length = len.limbs[0]};
    ghost_call_result r = {0};
    ghost_create(f->vm, &m, &r);
    if (r.exit == GHOST_EXIT_ABORT) {
        f->exit = GHOST_EXIT_ABORT;
        return NULL;
    }
    f->gas += (int64_t)r.gas_left;
    bool keeps = r.exit == GHOST_EXIT_REVERT;
    f->ret = keeps ? r.output : NULL;
    f->ret_len = keeps ? r.output_length : 0;
    if (r.exit == GHOST_EXIT_SUCCESS) {
        *result_at = u256_from_address(&r.created);
    } else {
        *result_at = u256_from_u64(0);
    }
    return result_at;
}

static bool op_selfdestruct(frame *f, const u256 *word) {
    if (f->message->is_static) {
        f->exit = GHOST_EXIT_STATIC_VIOLATION;
        return false;
    }
    ghost_address a = u256_to_address(word);
    bool cold;
    ghost_account *b = ghost_state_access_account(f->vm->state, &a, &cold);
    if (!b) {
        f->exit = GHOST_EXIT_ABORT;
        return false;
    }
    uint64_t cost = 5000 + (cold ? 2600 : 0);
    if (ghost_account_is_empty(b) && !u256_is_zero(&f->self->balance)) {
        cost += 25000;
    }
    if (!take(f, cost)) {
        return false;
    }
    ghost_state_self_destruct(f->vm->state, f->self, b);
    return true;
}
static bool valid_jump(const frame *f, const u256 *dest) {
    if (!u256_fits_u64(dest) || dest->limbs[0] >= f->code->length) {
        return false;
    }
    const analysis *a = f->code->analysis;
    return a->bits[dest->limbs[0] >> 6] >> (dest->limbs[0] & 63) & 1;
}

#define NEED(n)                                                                                    \
    if (unlikely(sp - base < (n))) {                                                               \
        f->exit = GHOST_EXIT_STACK_UNDERFLOW;                                                      \
        goto done;                                                                                 \
    }
#define ROOM()                                                                                     \
    if (unlikely(sp - base >= STACK_MAX)) {                                                        \
        f->exit = GHOST_EXIT_STACK_OVERFLOW;                                                       \
        goto done;                                                                                 \
    }
#define GAS(n)                                                                                     \
    if (unlikely((f->gas -= (n)) < 0)) {                                                           \
        f->exit = GHOST_EXIT_OUT_OF_GAS;                                                           \
        goto done;                                                                                 \
    }
#define BIN(n, g, expr)                                                                            \
    case n:                                                                                        \
        NEED(2) GAS(g) {                                                                           \
            const u256 *x = sp, *y = sp - 1;                                                       \
            u256 r;                                                                                \
            expr;                                                                                  \
            sp--;                                                                                  \
            *sp = r;                                                                               \
        }                                                                                          \
        break;
#define PUSHV(n, g, expr)                                                                          \
    case n:                                                                                        \
        ROOM() GAS(g) {                                                                            \
            u256 r;                                                                                \
            expr;                                                                                  \
            *++sp = r;                                                                             \
        }                                                                                          \
        break;
#define BOOL(e) r = u256_from_u64(e)
static inline bool slt(const u256 *a, const u256 *b) {
    bool na = a->limbs[3] >> 63, nb = b->limbs[3] >> 63;
    return na != nb ? na : u256_less(a, b);
}
static u256 shl(const u256 *n, const u256 *v) {
    u256 r = {{0}};
    if (!u256_fits_u64(n) || n->limbs[0] > 255) {
        return r;
    }
    unsigned s = (unsigned)n->limbs[0], w = s / 64, b = s % 64;
    for (int i = 3; i >= (int)w; i--) {
        r.limbs[i] = v->limbs[i - w] << b;
        if (b && i > (int)w) {
            r.limbs[i] |= v->limbs[i - w - 1] >> (64 - b);
        }
    }
    return r;
}
static u256 shr(const u256 *n, const u256 *v) {
    u256 r = {{0}};
    if (!u256_fits_u64(n) || n->limbs[0] > 255) {
        return r;
    }
    unsigned s = (unsigned)n->limbs[0], w = s / 64, b = s % 64;
    for (unsigned i = 0; i + w < 4; i++) {
        r.limbs[i] = v->limbs[i + w] >> b;
        if (b && i + w + 1 < 4) {
            r.limbs[i] |= v->limbs[i + w + 1] << (64 - b);
        }
    }
    return r;
}
static u256 sar(const u256 *n, const u256 *v) {
    if (!(v->limbs[3] >> 63)) {
        return shr(n, v);
    }
    u256 ones = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
    if (!u256_fits_u64(n) || n->limbs[0] > 255) {
        return ones;
    }
    u256 r = shr(n, v);
    if (n->limbs[0]) {
        u256 k = u256_from_u64(256 - n->limbs[0]), m = shl(&k, &ones);
        for (int i = 0; i < 4; i++) {
            r.limbs[i] |= m.limbs[i];
        }
    }
    return r;
}

static void run(frame *f, ghost_call_result *result) {
    const ghost_message *msg = f->message;
    ghost_vm *vm = f->vm;
    u256 *base = f->fm->stack, *sp = base; /* base[0] is unused; top is *sp */
    const uint8_t *code = f->code->bytes;
    size_t pc = 0;
    size_t length = f->code->length;
    f->exit = GHOST_EXIT_SUCCESS;
    result->output = NULL;
    result->output_length = 0;
    for (;;) {
        uint8_t op = pc < length ? code[pc] : 0;
        pc++;
        switch (op) {
        case 0x00:
            goto done;
            BIN(0x01, 3, u256_add(&r, x, y))
            BIN(0x02, 5, r = mul(x, y))
            BIN(0x03, 3, u256_sub(&r, x, y))
            BIN(0x04, 5, plain_divmod(&r, NULL, x, y))
            BIN(0x05, 5, r = plain_sdiv(x, y))
            BIN(0x06, 5, plain_divmod(NULL, &r, x, y))
            BIN(0x07, 5, r = plain_smod(x, y))
        case 0x08:
            NEED(3) GAS(8) sp[-2] = plain_addmod(sp, sp - 1, sp - 2);
            sp -= 2;
            break;
        case 0x09:
            NEED(3) GAS(8) sp[-2] = plain_mulmod(sp, sp - 1, sp - 2);
            sp -= 2;
            break;
        case 0x0a: {
            NEED(2) unsigned bytes = (263 - plain_leading_zeros(sp - 1)) / 8;
            GAS(10 + 50 * (int)bytes)
            sp[-1] = plain_exp(sp, sp - 1);
            sp--;
        } break;
        case 0x0b:
            NEED(2) GAS(5) {
                u256 n = sp[0], v = sp[-1];
                sp--;
                if (u256_fits_u64(&n) && n.limbs[0] < 31) {
                    u256 k = u256_from_u64(248 - 8 * n.limbs[0]), t = shl(&k, &v);
                    *sp = sar(&k, &t);
                } else {
                    *sp = v;
                }
            }
            break;
            BIN(0x10, 3, BOOL(u256_less(x, y)))
            BIN(0x11, 3, BOOL(u256_less(y, x)))
            BIN(0x12, 3, BOOL(slt(x, y)))
            BIN(0x13, 3, BOOL(slt(y, x)))
            BIN(0x14, 3, BOOL(u256_equal(x, y)))
        case 0x15:
            NEED(1) GAS(3) *sp = u256_from_u64(u256_is_zero(sp));
            break;
            BIN(0x16, 3, for (int i = 0; i < 4; i++) r.limbs[i] = x->limbs[i] & y->limbs[i])
            BIN(0x17, 3, for (int i = 0; i < 4; i++) r.limbs[i] = x->limbs[i] | y->limbs[i])
            BIN(0x18, 3, for (int i = 0; i < 4; i++) r.limbs[i] = x->limbs[i] ^ y->limbs[i])
        case 0x19:
            NEED(1) GAS(3) for (int i = 0; i < 4; i++) sp->limbs[i] = ~sp->limbs[i];
            break;
        case 0x1a:
            NEED(2) GAS(3) {
                u256 n = sp[0];
                sp--;
                uint8_t b[32];
                u256_to_be(b, sp);
                *sp = u256_from_u64(u256_fits_u64(&n) && n.limbs[0] < 32 ? b[n.limbs[0]] : 0);
            }
            break;
            BIN(0x1b, 3, r = shl(x, y))
            BIN(0x1c, 3, r = shr(x, y))
            BIN(0x1d, 3, r = sar(x, y))
        case 0x1e:
            if (vm->fork < GHOST_FORK_OSAKA) {
                goto undefined;
            }
            NEED(1) GAS(5) *sp = u256_from_u64(plain_leading_zeros(sp));
            break;
        case 0x20: {
            NEED(2) GAS(30) u256 off = sp[0], len = sp[-1];
            sp--;
            if (!u256_fits_u64(&len) || len.limbs[0] > 0xffffffffull) {
                f->exit = GHOST_EXIT_OUT_OF_GAS;
                goto done;
            }
            if (!take(f, 6 * words(len.limbs[0])) || !expand_u(f, &off, &len)) {
                goto done;
            }
            uint8_t d[32];
            ghost_keccak256(d, len.limbs[0] ? f->mem + off.limbs[0] : (const uint8_t *)"",
                            len.limbs[0]);
            *sp = u256_from_be(d);
        } break;
            PUSHV(0x30, 2, r = u256_from_address(&f->self->address))
        case 0x31:
            NEED(1) {
                ghost_account *a;
                if (!account_op(f, sp, &a)) {
                    goto done;
                }
                *sp = a->balance;
            }
            break;
            PUSHV(0x32, 2, r = u256_from_address(&vm->tx.origin))
            PUSHV(0x33, 2, r = u256_from_address(&msg->sender))
            PUSHV(0x34, 2, r = msg->value)
        case 0x35:
            NEED(1) GAS(3) {
                uint8_t b[32];
                u256 o = *sp;
                copy_padded(b, &o, 32, msg->input, msg->input_length);
                *sp = u256_from_be(b);
            }
            break;
            PUSHV(0x36, 2, r = u256_from_u64(msg->input_length))
        case 0x37:
            NEED(3)
            GAS(3) if (!copy_op(f, sp, sp - 1, sp - 2, msg->input, msg->input_length)) goto done;
            sp -= 3;
            break;
            PUSHV(0x38, 2, r = u256_from_u64(length))
        case 0x39:
            NEED(3) GAS(3) if (!copy_op(f, sp, sp - 1, sp - 2, code, length)) goto done;
            sp -= 3;
            break;
            PUSHV(0x3a, 2, r = vm->tx.gas_price)
        case 0x3b:
            NEED(1) {
                ghost_account *a;
                if (!account_op(f, sp, &a)) {
                    goto done;
                }
                const ghost_code *c = ghost_state_code(vm->state, a);
                if (!c) {
                    goto abort;
                }
                *sp = u256_from_u64(c->length);
            }
            break;
        case 0x3c:
            NEED(4) {
                ghost_account *a;
                if (!account_op(f, sp, &a)) {
                    goto done;
                }
                const ghost_code *c = ghost_state_code(vm->state, a);
                if (!c) {
                    goto abort;
                }
                if (!copy_op(f, sp - 1, sp - 2, sp - 3, c->bytes, c->length)) {
                    goto done;
                }
                sp -= 4;
            }
            break;
            PUSHV(0x3d, 2, r = u256_from_u64(f->ret_len))
        case 0x3e: {
            NEED(3) GAS(3) u256 *src = sp - 1, *len = sp - 2;
            if (!u256_fits_u64(src) || !u256_fits_u64(len) ||
                src->limbs[0] + len->limbs[0] < src->limbs[0] ||
                src->limbs[0] + len->limbs[0] > f->ret_len) {
                f->exit = GHOST_EXIT_RETURN_DATA_BOUNDS;
                goto done;
            }
            if (!copy_op(f, sp, src, len, f->ret, f->ret_len)) {
                goto done;
            }
            sp -= 3;
        } break;
        case 0x3f:
            NEED(1) {
                ghost_account *a;
                if (!account_op(f, sp, &a)) {
                    goto done;
                }
                *sp =
                    ghost_account_is_empty(a) ? u256_from_u64(0) : u256_from_be(a->code_hash.bytes);
            }
            break;
        case 0x40:
            NEED(1) GAS(20) {
                uint64_t n = sp->limbs[0];
                bool ok = u256_fits_u64(sp) && n < vm->block.number && vm->block.number - n <= 256;
                *sp = u256_from_u64(0);
                if (ok) {
                    ghost_hash h;
                    if (ghost_state_block_hash(vm->state, n, &h) != GHOST_OK) {
                        goto abort;
                    }
                    *sp = u256_from_be(h.bytes);
                }
            }
            break;
            PUSHV(0x41, 2, r = u256_from_address(&vm->block.coinbase))
            PUSHV(0x42, 2, r = u256_from_u64(vm->block.timestamp))
            PUSHV(0x43, 2, r = u256_from_u64(vm->block.number))
            PUSHV(0x44, 2, r = vm->block.prev_randao)
            PUSHV(0x45, 2, r = u256_from_u64(vm->block.gas_limit))
            PUSHV(0x46, 2, r = u256_from_u64(vm->block.chain_id))
            PUSHV(0x47, 5, r = f->self->balance)
            PUSHV(0x48, 2, r = vm->block.base_fee)
        case 0x49:
            NEED(1) GAS(3) {
                uint64_t n = sp->limbs[0];
                bool ok = u256_fits_u64(sp) && n < vm->tx.blob_count;
                *sp = ok ? u256_from_be(vm->tx.blob_hashes + 32 * n) : u256_from_u64(0);
            }
            break;
            PUSHV(0x4a, 2, r = vm->block.blob_base_fee)
        case 0x50:
            NEED(1) GAS(2) sp--;
            break;
        case 0x51:
            NEED(1) GAS(3) {
                u256 l = u256_from_u64(32);
                if (!expand_u(f, sp, &l)) {
                    goto done;
                }
                *sp = u256_from_be(f->mem + sp->limbs[0]);
            }
            break;
        case 0x52:
            NEED(2) GAS(3) {
                u256 l = u256_from_u64(32);
                if (!expand_u(f, sp, &l)) {
                    goto done;
                }
                u256_to_be(f->mem + sp->limbs[0], sp - 1);
                sp -= 2;
            }
            break;
        case 0x53:
            NEED(2) GAS(3) {
                u256 l = u256_from_u64(1);
                if (!expand_u(f, sp, &l)) {
                    goto done;
                }
                f->mem[sp->limbs[0]] = (uint8_t)sp[-1].limbs[0];
                sp -= 2;
            }
            break;
        case 0x54:
            NEED(1) {
                bool cold;
                u256 k = *sp;
                ghost_slot *s = ghost_state_access_slot(vm->state, f->self, &k, &cold);
                if (!s) {
                    goto abort;
                }
                if (!take(f, cold ? 2100 : 100)) {
                    goto done;
                }
                *sp = s->value;
            }
            break;
        case 0x55:
            NEED(2) if (!op_sstore(f, sp, sp - 1)) goto done;
            sp -= 2;
            break;
        case 0x56:
            NEED(1) GAS(8) if (!valid_jump(f, sp)) {
                f->exit = GHOST_EXIT_BAD_JUMP;
                goto done;
            }
            pc = sp->limbs[0];
            sp--;
            break;
        case 0x57:
            NEED(2) GAS(10) if (!u256_is_zero(sp - 1)) {
                if (!valid_jump(f, sp)) {
                    f->exit = GHOST_EXIT_BAD_JUMP;
                    goto done;
                }
                pc = sp->limbs[0];
            }
            sp -= 2;
            break;
            PUSHV(0x58, 2, r = u256_from_u64(pc - 1))
            PUSHV(0x59, 2, r = u256_from_u64(f->mem_size))
            PUSHV(0x5a, 2, r = u256_from_u64((uint64_t)f->gas))
        case 0x5b:
            GAS(1) break;
        case 0x5c:
            NEED(1) GAS(100) {
                u256 k = *sp;
                *sp = ghost_state_transient_load(vm->state, f->self, &k);
            }
            break;
        case 0x5d:
            NEED(2) if (msg->is_static) {
                f->exit = GHOST_EXIT_STATIC_VIOLATION;
                goto done;
            }
            GAS(100) ghost_state_transient_store(vm->state, f->self, sp, sp - 1);
            sp -= 2;
            break;
        case 0x5e: {
            NEED(3) GAS(3) u256 *d = sp, *s = sp - 1, *l = sp - 2;
            if (!u256_fits_u64(l) || l->limbs[0] > 0xffffffffull) {
                f->exit = GHOST_EXIT_OUT_OF_GAS;
                goto done;
            }
            if (!take(f, 3 * words(l->limbs[0])) || !expand_u(f, u256_less(d, s) ? s : d, l)) {
                goto done;
            }
            if (l->limbs[0]) {
                memmove(f->mem + d->limbs[0], f->mem + s->limbs[0], l->limbs[0]);
            }
            sp -= 3;
        } break;
        case 0x5f:
            ROOM() GAS(2) *++sp = u256_from_u64(0);
            break;
        case 0xa0:
        case 0xa1:
        case 0xa2:
        case 0xa3:
        case 0xa4:
            NEED(2 + op - 0xa0) if (!op_log(f, sp, op - 0xa0u)) goto done;
            sp -= 2 + (op - 0xa0);
            break;
        case 0xf0:
            NEED(3) if (!(sp = op_create(f, sp, GHOST_CREATE))) goto done;
            break;
        case 0xf5:
            NEED(4) if (!(sp = op_create(f, sp, GHOST_CREATE2))) goto done;
            break;
        case 0xf1:
            NEED(7) if (!(sp = op_call(f, sp, GHOST_CALL))) goto done;
            break;
        case 0xf2:
            NEED(7) if (!(sp = op_call(f, sp, GHOST_CALLCODE))) goto done;
            break;
        case 0xf4:
            NEED(6) if (!(sp = op_call(f, sp, GHOST_DELEGATECALL))) goto done;
            break;
        case 0xfa:
            NEED(6) if (!(sp = op_call(f, sp, GHOST_STATICCALL))) goto done;
            break;
        case 0xf3:
        case 0xfd:
            NEED(2) if (!expand_u(f, sp, sp - 1)) goto done;
            result->output_length = sp[-1].limbs[0];
            result->output = result->output_length ? f->mem + sp->limbs[0] : NULL;
            f->exit = op == 0xf3 ? GHOST_EXIT_SUCCESS : GHOST_EXIT_REVERT;
            goto done;
        case 0xfe:
            f->exit = GHOST_EXIT_INVALID_OPCODE;
            goto done;
        case 0xff:
            NEED(1) if (!op_selfdestruct(f, sp)) goto done;
            goto done;
        default:
            if (op >= 0x60 && op <= 0x7f) {
                ROOM() GAS(3) unsigned n = op - 0x5fu;
                uint8_t b[32] = {0};
                memcpy(b + 32 - n, code + pc, n);
                *++sp = u256_from_be(b);
                pc += n;
                break;
            }
            if (op >= 0x80 && op <= 0x8f) {
                NEED(op - 0x7f) ROOM() GAS(3) sp[1] = sp[0x80 - op];
                sp++;
                break;
            }
            if (op >= 0x90 && op <= 0x9f) {
                NEED(op - 0x8e) GAS(3) u256 t = *sp;
                *sp = sp[0x8f - op];
                sp[0x8f - op] = t;
                break;
            }
            goto undefined;
        }
    }
undefined:
    f->exit = GHOST_EXIT_UNDEFINED_OPCODE;
    goto done;
abort:
    f->exit = GHOST_EXIT_ABORT;
done:
    result->exit = (uint8_t)f->exit;
    result->gas_left = f->exit <= GHOST_EXIT_REVERT ? (uint64_t)f->gas : 0;
    if (f->exit > GHOST_EXIT_REVERT) {
        result->output = NULL;
        result->output_length = 0;
    }
}

void ghost_evm_execute(ghost_vm *vm, const ghost_message *message, ghost_account *self,
                       const ghost_code *code, ghost_call_result *result) {
    memset(result, 0, sizeof *result);
    frame f = {
        .vm = vm, .message = message, .self = self, .code = code, .gas = (int64_t)message->gas};
    f.fm = &vm->memory->frames[message->depth];
    if (!f.fm->stack) {
        f.fm->stack = malloc((STACK_MAX + 2) * sizeof(u256));
    }
    if (!f.fm->stack || !ghost_code_prepare(code)) {
        vm->status = GHOST_OUT_OF_MEMORY;
        result->exit = GHOST_EXIT_ABORT;
        return;
    }
    f.mem = f.fm->bytes;
    run(&f, result);
}

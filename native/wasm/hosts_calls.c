/* Calls, creations, logs and other accounts. Inputs are used where they lie in the contract's
 * memory: nothing can write there before the call is over. */
#include <endian.h>

#include "activation.h"

enum {
    /* What a call answers. */
    CALL_SUCCEEDED = 0,
    CALL_REVERTED = 1,
    CALL_FAILED = 2,
    TOPICS_MAX = 4
};

static void write_le32(uint8_t *out, uint32_t number) {
    number = htole32(number);
    memcpy(out, &number, sizeof number);
}

/* ---- calls ---- */

typedef struct call_arguments {
    wasmtime_raw address, data, data_length, value, gas, out_length;
} call_arguments;

static int call(activation *self, wasmtime_raw *values, uint8_t kind,
                const call_arguments *given) {
    const uint8_t *address_bytes = bytes_at(self, given->address, 20);
    const uint8_t *data = bytes_at(self, given->data, given->data_length.i32);
    uint8_t *out_length = bytes_at(self, given->out_length, 4);
    u256 value = {{0}};
    if (address_bytes == NULL || data == NULL || out_length == NULL)
        return HOST_BOUNDS;
    if (kind == GHOST_CALL) {
        const uint8_t *value_bytes = bytes_at(self, given->value, 32);
        if (value_bytes == NULL)
            return HOST_BOUNDS;
        value = u256_from_be(value_bytes);
    }
    ghost_address address;
    memcpy(address.bytes, address_bytes, 20);
    enum ghost_exit how = GHOST_EXIT_SUCCESS;
    ink_to_gas(self);
    int exit = ghost_host_call(&self->frame, kind, &address, &value, given->gas.i64, data,
                               given->data_length.i32, &how);
    gas_to_ink(self);
    if (exit != 0)
        return exit;
    write_le32(out_length, (uint32_t)self->frame.return_length);
    values[0].i64 = 0;
    values[0].i32 = how == GHOST_EXIT_SUCCESS  ? CALL_SUCCEEDED
                    : how == GHOST_EXIT_REVERT ? CALL_REVERTED
                                               : CALL_FAILED;
    return 0;
}

int host_call_contract(activation *self, wasmtime_raw *values) {
    const call_arguments given = {values[0], values[1], values[2],
                                  values[3], values[4], values[5]};
    return call(self, values, GHOST_CALL, &given);
}

int host_delegate_call_contract(activation *self, wasmtime_raw *values) {
    const call_arguments given = {values[0], values[1], values[2], {0}, values[3], values[4]};
    return call(self, values, GHOST_DELEGATECALL, &given);
}

int host_static_call_contract(activation *self, wasmtime_raw *values) {
    const call_arguments given = {values[0], values[1], values[2], {0}, values[3], values[4]};
    return call(self, values, GHOST_STATICCALL, &given);
}

/* ---- creations ---- */

typedef struct create_arguments {
    wasmtime_raw code, length, endowment, salt, out_address, out_length;
} create_arguments;

static int create(activation *self, uint8_t kind, const create_arguments *given) {
    const uint8_t *code = bytes_at(self, given->code, given->length.i32);
    const uint8_t *value_bytes = bytes_at(self, given->endowment, 32);
    const uint8_t *salt_bytes = bytes_at(self, given->salt, kind == GHOST_CREATE2 ? 32 : 0);
    uint8_t *out_address = bytes_at(self, given->out_address, 20);
    uint8_t *out_length = bytes_at(self, given->out_length, 4);
    if (code == NULL || value_bytes == NULL || salt_bytes == NULL || out_address == NULL ||
        out_length == NULL)
        return HOST_BOUNDS;
    u256 value = u256_from_be(value_bytes), salt = {{0}};
    if (kind == GHOST_CREATE2)
        salt = u256_from_be(salt_bytes);
    enum ghost_exit how = GHOST_EXIT_SUCCESS;
    ghost_address created = {{0}};
    ink_to_gas(self);
    int exit = ghost_host_create(&self->frame, kind, &value, &salt, code, given->length.i32,
                                 &how, &created);
    gas_to_ink(self);
    if (exit != 0)
        return exit;
    if (how != GHOST_EXIT_SUCCESS)
        memset(&created, 0, sizeof created);
    memcpy(out_address, created.bytes, 20);
    write_le32(out_length, (uint32_t)self->frame.return_length);
    return 0;
}

int host_create1(activation *self, wasmtime_raw *values) {
    const create_arguments given = {values[0], values[1], values[2], {0}, values[3], values[4]};
    return create(self, GHOST_CREATE, &given);
}

int host_create2(activation *self, wasmtime_raw *values) {
    const create_arguments given = {values[0], values[1], values[2],
                                    values[3], values[4], values[5]};
    return create(self, GHOST_CREATE2, &given);
}

/* ---- return data ---- */

int host_return_data_size(activation *self, wasmtime_raw *values) {
    values[0].i64 = (uint32_t)self->frame.return_length;
    return 0;
}

/* Copies up to length bytes of source from offset on, paid by the byte. values[0] = how many. */
static int copy_part(activation *self, wasmtime_raw *values, wasmtime_raw to, uint64_t offset,
                     uint64_t length, const uint8_t *source, size_t source_length) {
    uint64_t there = offset < source_length ? source_length - offset : 0;
    uint64_t copied = length < there ? length : there;
    uint8_t *out = bytes_at(self, to, copied);
    if (out == NULL)
        return HOST_BOUNDS;
    if (!take_ink(self, copied * INK_COPY_BYTE))
        return GHOST_EXIT_OUT_OF_GAS;
    if (copied > 0)
        memcpy(out, source + offset, copied);
    values[0].i64 = copied;
    return 0;
}

int host_read_return_data(activation *self, wasmtime_raw *values) {
    return copy_part(self, values, values[0], values[1].i32, values[2].i32,
                     self->frame.return_data, self->frame.return_length);
}

/* ---- logs ---- */

int host_emit_log(activation *self, wasmtime_raw *values) {
    uint32_t length = values[1].i32, count = values[2].i32;
    const uint8_t *data = bytes_at(self, values[0], length);
    if (data == NULL || count > TOPICS_MAX || length < count * 32)
        return HOST_BOUNDS;
    u256 topics[TOPICS_MAX];
    for (uint32_t i = 0; i < count; i++)
        topics[i] = u256_from_be(data + 32 * i);
    ink_to_gas(self);
    int exit = ghost_host_log(&self->frame, topics, count, data + 32 * count,
                              length - 32 * count);
    gas_to_ink(self);
    return exit;
}

/* ---- other accounts ---- */

int host_account_balance(activation *self, wasmtime_raw *values) {
    const uint8_t *address_bytes = bytes_at(self, values[0], 20);
    uint8_t *out = bytes_at(self, values[1], 32);
    if (address_bytes == NULL || out == NULL)
        return HOST_BOUNDS;
    ghost_address address;
    u256 balance;
    memcpy(address.bytes, address_bytes, 20);
    ink_to_gas(self);
    int exit = ghost_host_balance(&self->frame, &address, &balance);
    gas_to_ink(self);
    if (exit == 0)
        u256_to_be(out, &balance);
    return exit;
}

int host_account_codehash(activation *self, wasmtime_raw *values) {
    const uint8_t *address_bytes = bytes_at(self, values[0], 20);
    uint8_t *out = bytes_at(self, values[1], 32);
    if (address_bytes == NULL || out == NULL)
        return HOST_BOUNDS;
    ghost_address address;
    ghost_hash hash;
    memcpy(address.bytes, address_bytes, 20);
    ink_to_gas(self);
    int exit = ghost_host_code_hash(&self->frame, &address, &hash);
    gas_to_ink(self);
    if (exit == 0)
        memcpy(out, hash.bytes, 32);
    return exit;
}

static int code_of(activation *self, wasmtime_raw pointer, ghost_view *code) {
    const uint8_t *address_bytes = bytes_at(self, pointer, 20);
    if (address_bytes == NULL)
        return HOST_BOUNDS;
    ghost_address address;
    memcpy(address.bytes, address_bytes, 20);
    ink_to_gas(self);
    int exit = ghost_host_code(&self->frame, &address, code);
    gas_to_ink(self);
    return exit;
}

int host_account_code_size(activation *self, wasmtime_raw *values) {
    ghost_view code;
    int exit = code_of(self, values[0], &code);
    if (exit == 0)
        values[0].i64 = (uint32_t)code.length;
    return exit;
}

int host_account_code(activation *self, wasmtime_raw *values) {
    ghost_view code;
    int exit = code_of(self, values[0], &code);
    if (exit != 0)
        return exit;
    return copy_part(self, values, values[3], values[1].i32, values[2].i32, code.data,
                     code.length);
}

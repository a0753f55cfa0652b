/* Compiled modules on disk: <directory>/<code hash>-<engine>.
 *
 * The engine runs what it loads without looking at it again, so a file must be one that this node
 * wrote: the directory is the owner's alone, and each file carries a keyed digest over its
 * name and contents. The key lies in the same directory, so the digest finds damage, files of other
 * nodes and files put there by somebody who may write but not read; against whoever acts as the
 * node's own user there is no defence here, as there is none for its database. What does not
 * verify is compiled anew. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../keccak/keccak.h"
#include "runtime.h"

enum {
    KEY_BYTES = 32,
    DIGEST_BYTES = 32,
    HEAD_BYTES = DIGEST_BYTES + 8,        /* and the weight */
    PIECES = 8,                   /* hashed side by side */
    NAME_BYTES = 64 + 1 + 16 + 1,
    FILE_BYTES_MAX = 64 << 20
};

static struct {
    int directory;                /* -1: none */
    uint8_t key[KEY_BYTES];
    uint32_t serial;              /* of temporary files */
} disk = {.directory = -1};

/* keccak256(key, code hash, fingerprint, weight, length, keccak256 of each eighth). */
static void digest_of(uint8_t digest[DIGEST_BYTES], const compiled *module, const uint8_t *data,
                      size_t length) {
    uint8_t head[KEY_BYTES + 32 + 32 + 16 + PIECES * 32];
    size_t offsets[PIECES + 1];
    for (size_t i = 0; i <= PIECES; i++)
        offsets[i] = length / PIECES * i;
    offsets[PIECES] = length;
    memcpy(head, disk.key, KEY_BYTES);
    memcpy(head + KEY_BYTES, module->hash.bytes, 32);
    memcpy(head + KEY_BYTES + 32, wasm.fingerprint, 32);
    store_be64(head + KEY_BYTES + 64, module->weight);
    store_be64(head + KEY_BYTES + 72, length);
    ghost_keccak256_batch(head + KEY_BYTES + 80, data, offsets, PIECES);
    ghost_keccak256(digest, head, sizeof head);
}

static void name_of(char name[NAME_BYTES], const ghost_hash *hash) {
    for (size_t i = 0; i < 32; i++)
        snprintf(name + 2 * i, 3, "%02x", hash->bytes[i]);
    name[64] = '-';
    for (size_t i = 0; i < 8; i++)
        snprintf(name + 65 + 2 * i, 3, "%02x", wasm.fingerprint[i]);
}

static bool write_all(int file, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(file, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

/* Reads the key, or makes one. False when neither can be. */
static bool take_key(void) {
    struct stat about;
    int file = openat(disk.directory, "key", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file >= 0) {
        bool is_ours = fstat(file, &about) == 0 && about.st_uid == geteuid() &&
                       (about.st_mode & 077) == 0 &&
                       read(file, disk.key, KEY_BYTES) == KEY_BYTES;
        close(file);
        if (is_ours)
            return true;
        unlinkat(disk.directory, "key", 0);
    }
    if (getrandom(disk.key, KEY_BYTES, 0) != KEY_BYTES)
        return false;
    file = openat(disk.directory, "key", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    bool is_written = write_all(file, disk.key, KEY_BYTES);
    return close(file) == 0 && is_written;
}

int disk_open(char *error, size_t error_room, const char *directory) {
    struct stat about;
    if (directory == NULL)
        return GHOST_OK;
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        snprintf(error, error_room, "%s cannot be made: %s", directory, strerror(errno));
        return GHOST_REFUSED;
    }
    disk.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_ours = disk.directory >= 0 && fstat(disk.directory, &about) == 0 &&
                   about.st_uid == geteuid() && fchmod(disk.directory, 0700) == 0;
    if (is_ours && take_key())
        return GHOST_OK;
    snprintf(error, error_room, "%s must be a directory of this user: %s", directory,
             is_ours ? "its key cannot be read or written" : strerror(errno));
    disk_close();
    return GHOST_REFUSED;
}

void disk_close(void) {
    if (disk.directory >= 0)
        close(disk.directory);
    disk.directory = -1;
}

/* The file's bytes, to be freed; NULL when it is not there, or is none of ours by its looks. */
static uint8_t *read_file(const char *name, size_t *length, enum disk_answer *answer) {
    struct stat about;
    int file = openat(disk.directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        return NULL;
    *answer = DISK_REFUSED;
    uint8_t *bytes = NULL;
    if (fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_uid == geteuid() &&
        about.st_size > HEAD_BYTES && about.st_size <= FILE_BYTES_MAX) {
        *length = (size_t)about.st_size;
        bytes = malloc(*length);
        if (bytes != NULL && read(file, bytes, *length) != (ssize_t)*length) {
            free(bytes);
            bytes = NULL;
        }
    }
    close(file);
    return bytes;
}

enum disk_answer disk_load(compiled *module) {
    if (disk.directory < 0)
        return DISK_ABSENT;
    char name[NAME_BYTES];
    enum disk_answer answer = DISK_ABSENT;
    size_t length = 0;
    uint8_t digest[DIGEST_BYTES];
    name_of(name, &module->hash);
    uint8_t *bytes = read_file(name, &length, &answer);
    if (bytes == NULL)
        return answer;
    size_t size = length - HEAD_BYTES;
    module->weight = load_be64(bytes + DIGEST_BYTES);
    digest_of(digest, module, bytes + HEAD_BYTES, size);
    if (memcmp(digest, bytes, DIGEST_BYTES) == 0) {
        wasmtime_error *error = wasm.api.wasmtime_module_deserialize(
            wasm.engine, bytes + HEAD_BYTES, size, &module->module);
        if (error == NULL)
            answer = DISK_LOADED;
        else
            wasm.api.wasmtime_error_delete(error);
    }
    free(bytes);
    return answer;
}

/* Nothing depends on its success: a module that is not on disk is compiled again. */
void disk_save(const compiled *module) {
    wasm_bytes bytes = {0, NULL};
    if (disk.directory < 0)
        return;
    wasmtime_error *error = wasm.api.wasmtime_module_serialize(module->module, &bytes);
    if (error != NULL) {
        wasm.api.wasmtime_error_delete(error);
        return;
    }
    char name[NAME_BYTES], temporary[64];
    uint8_t head[HEAD_BYTES];
    name_of(name, &module->hash);
    digest_of(head, module, bytes.data, bytes.size);
    store_be64(head + DIGEST_BYTES, module->weight);
    uint32_t serial = __atomic_add_fetch(&disk.serial, 1, __ATOMIC_RELAXED);
    snprintf(temporary, sizeof temporary, "new-%ld-%u", (long)getpid(), serial);
    int file = openat(disk.directory, temporary,
                      O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file >= 0) {
        bool is_written =
            write_all(file, head, HEAD_BYTES) && write_all(file, bytes.data, bytes.size);
        if (close(file) != 0 || !is_written ||
            renameat(disk.directory, temporary, disk.directory, name) != 0)
            unlinkat(disk.directory, temporary, 0);
    }
    wasm.api.wasm_byte_vec_delete(&bytes);
}

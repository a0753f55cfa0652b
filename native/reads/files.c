/* Pages of logs of blocks that nobody has read yet, from the block files. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "../keccak/keccak.h"
#include "pages.h"

enum {
    LOCATOR_BYTES = 16,
    RECORD_HEAD = 16,
    BODY_HEAD = 12,
    RECEIPTS = 1, /* the last bit of a tag */
    BLOCK_BYTES_MAX = 64 << 20,
    BYTES_AT_ONCE = 1 << 20 /* of blocks that are loaded together */
};

/* Where a record stands; length of its payload. */
typedef struct locator {
    uint32_t segment, length;
    uint64_t offset;
} locator;

/* ---- CRC-32, as zlib's, eight bytes at a time ---- */

static uint32_t crc_tables[8][256];
static pthread_once_t crc_is_ready = PTHREAD_ONCE_INIT;

static void make_crc_tables(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
        }
        crc_tables[0][i] = crc;
    }
    for (int table = 1; table < 8; table++) {
        for (int i = 0; i < 256; i++) {
            uint32_t crc = crc_tables[table - 1][i];
            crc_tables[table][i] = crc >> 8 ^ crc_tables[0][crc & 255];
        }
    }
}

/* Goes on from the CRC of what stands before. */
static uint32_t crc32_of(uint32_t crc, const uint8_t *data, size_t length) {
    crc = ~crc;
    for (; length >= 8; data += 8, length -= 8) {
        crc ^= data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        crc = crc_tables[7][crc & 255] ^ crc_tables[6][crc >> 8 & 255] ^
              crc_tables[5][crc >> 16 & 255] ^ crc_tables[4][crc >> 24] ^ crc_tables[3][data[4]] ^
              crc_tables[2][data[5]] ^ crc_tables[1][data[6]] ^ crc_tables[0][data[7]];
    }
    for (; length > 0; data++, length--) {
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *data) & 255];
    }
    return ~crc;
}

/* ---- rows ---- */

static uint64_t be64(const uint8_t *bytes) {
    return (uint64_t)be32(bytes) << 32 | be32(bytes + 4);
}

static locator locator_at(const uint8_t *bytes) {
    return (locator){.segment = be32(bytes), .offset = be64(bytes + 4), .length = be32(bytes + 12)};
}

/* The row of a block as it is on disk; NULL where the file ends before it. */
static const uint8_t *row_of(block_reader *of, uint64_t number) {
    if (number < of->first_row || number - of->first_row >= of->row_count) {
        of->row_count = 0;
        if (number > INT64_MAX / PLACE_BYTES - PLACES_AT_ONCE) {
            return NULL;
        }
        ssize_t size =
            pread(of->files->places, of->rows, sizeof of->rows, (off_t)(number * PLACE_BYTES));
        if (size < PLACE_BYTES) {
            return NULL;
        }
        of->first_row = number;
        of->row_count = (size_t)size / PLACE_BYTES;
    }
    return of->rows + (number - of->first_row) * PLACE_BYTES;
}

/* Where body and receipts of a block stand. */
static bool find_block(block_reader *of, uint64_t number, locator *body, locator *receipts) {
    const uint8_t *row = row_of(of, number);
    if (row == NULL) {
        return false;
    }
    uint8_t stamp[8];
    for (int i = 0; i < 8; i++) {
        stamp[i] = (uint8_t)(number >> (56 - 8 * i));
    }
    uint32_t check = crc32_of(crc32_of(0, stamp, sizeof stamp), row, 2 * LOCATOR_BYTES);
    if (check != be32(row + 2 * LOCATOR_BYTES)) {
        return false;
    }
    *body = locator_at(row);
    *receipts = locator_at(row + LOCATOR_BYTES);
    return (uint64_t)body->length + receipts->length <= BLOCK_BYTES_MAX;
}

/* ---- records ---- */

/* The descriptor of a segment, -1 when it is not open. */
static int file_of(const ghost_log_files *files, uint32_t segment) {
    for (size_t i = 0; i < files->count; i++) {
        if (files->segments[i] == segment) {
            return files->files[i];
        }
    }
    return -1;
}

static bool read_all(int file, uint8_t *out, size_t length, uint64_t offset) {
    return offset <= INT64_MAX && pread(file, out, length, (off_t)offset) == (ssize_t)length;
}

/* The payload of a record, if it is what it should be. */
static bool open_record(const uint8_t *record, const locator *at, uint64_t tag, ghost_view *out) {
    if (be32(record) != at->length || be64(record + 8) != tag) {
        return false;
    }
    *out = (ghost_view){record + RECORD_HEAD, at->length};
    uint32_t check = crc32_of(crc32_of(0, record, 4), record + 8, 8);
    return crc32_of(check, out->data, out->length) == be32(record + 4);
}

/* The records of a block, in one reading where they are neighbours. GHOST_MALFORMED where they are
 * not there. */
static int read_records(uint8_t *room, ghost_log_block *block, const block_reader *of,
                        const locator *body, const locator *receipts) {
    size_t first = RECORD_HEAD + (size_t)body->length;
    size_t second = RECORD_HEAD + (size_t)receipts->length;
    int file = file_of(of->files, body->segment);
    bool is_read;
    if (body->segment == receipts->segment && body->offset + first == receipts->offset) {
        is_read = read_all(file, room, first + second, body->offset);
    } else {
        is_read =
            read_all(file, room, first, body->offset) &&
            read_all(file_of(of->files, receipts->segment), room + first, second, receipts->offset);
    }
    bool is_good =
        is_read && open_record(room, body, block->number << 1, &block->body) &&
        open_record(room + first, receipts, block->number << 1 | RECEIPTS, &block->receipts);
    return is_good ? GHOST_OK : GHOST_MALFORMED;
}

/* The header stands in the body. */
static bool find_header(ghost_log_block *block) {
    const ghost_view *body = &block->body;
    if (body->length < BODY_HEAD || be32(body->data + 4) > body->length - BODY_HEAD) {
        return false;
    }
    block->header = (ghost_view){body->data + BODY_HEAD, be32(body->data + 4)};
    return true;
}

/* Where a block is that can be read. */
static int locate(block_reader *of, loaded_block *out, locator *body, locator *receipts) {
    if (!find_block(of, out->block.number, body, receipts)) {
        return GHOST_MALFORMED;
    }
    const locator *both[] = {body, receipts};
    for (int i = 0; i < 2; i++) {
        if (file_of(of->files, both[i]->segment) < 0) {
            out->segment = both[i]->segment;
            return GHOST_MISSING;
        }
    }
    return GHOST_OK;
}

/* The hash of a header is its block's. */
static void hash_headers(block_reader *of) {
    ghost_view headers[BLOCKS_AT_ONCE];
    loaded_block *owners[BLOCKS_AT_ONCE];
    uint8_t digests[BLOCKS_AT_ONCE][32];
    size_t count = 0;
    for (size_t i = 0; i < of->loaded_count; i++) {
        if (of->loaded[i].status == GHOST_OK) {
            owners[count] = &of->loaded[i];
            headers[count++] = of->loaded[i].block.header;
        }
    }
    ghost_keccak256_views(digests[0], headers, count);
    for (size_t i = 0; i < count; i++) {
        memcpy(owners[i]->hash, digests[i], 32);
        owners[i]->block.hash = owners[i]->hash;
    }
}

void ghost_reader_load(block_reader *of, const uint64_t *numbers, size_t count) {
    pthread_once(&crc_is_ready, make_crc_tables);
    locator bodies[BLOCKS_AT_ONCE], receipts[BLOCKS_AT_ONCE];
    size_t sizes[BLOCKS_AT_ONCE] = {0}, total = 0, i;
    for (i = 0; i < count && i < BLOCKS_AT_ONCE; i++) {
        loaded_block *one = &of->loaded[i];
        *one = (loaded_block){.block = {.number = numbers[i]}};
        one->status = locate(of, one, &bodies[i], &receipts[i]);
        if (one->status == GHOST_OK) {
            sizes[i] = 2 * RECORD_HEAD + (size_t)bodies[i].length + receipts[i].length;
        }
        if (i > 0 && total + sizes[i] > BYTES_AT_ONCE) {
            break;
        }
        total += sizes[i];
    }
    of->loaded_count = i;
    of->records.length = 0;
    /* One more, as there is always some room then. */
    uint8_t *room = ghost_pages_reserve(&of->records, total + 1);
    for (i = 0; i < of->loaded_count; i++) {
        loaded_block *one = &of->loaded[i];
        if (one->status != GHOST_OK) {
            continue;
        }
        if (room == NULL) {
            one->status = GHOST_OUT_OF_MEMORY;
            continue;
        }
        one->status = read_records(room, &one->block, of, &bodies[i], &receipts[i]);
        if (one->status == GHOST_OK && !find_header(&one->block)) {
            one->status = GHOST_MALFORMED;
        }
        room += sizes[i];
    }
    hash_headers(of);
}

const loaded_block *ghost_reader_find(const block_reader *of, uint64_t number) {
    for (size_t i = 0; i < of->loaded_count; i++) {
        if (of->loaded[i].block.number == number) {
            return &of->loaded[i];
        }
    }
    return NULL;
}

int ghost_pages_read(page_buffer *page, bool *is_whole, const loaded_block *loaded,
                     const ghost_log_filter *filter, size_t whole_max) {
    if (loaded->status != GHOST_OK) {
        return loaded->status;
    }
    *is_whole = loaded->block.receipts.length <= whole_max;
    size_t start = page->length;
    int status = ghost_pages_put(page, &loaded->block, *is_whole ? NULL : filter);
    if (status != GHOST_OK) {
        page->length = start;
    }
    return status;
}

/* Pages and blooms that were read. */
#include "store.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_OVERHEAD_BYTES = sizeof(log_page) + 16 };

ghost_log_store *ghost_log_store_new(size_t pages_max, size_t page_bytes_max, size_t sections_max) {
    ghost_log_store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return NULL;
    }
    store->sections = calloc(sections_max, sizeof(bloom_section *));
    if (store->sections == NULL || pthread_mutex_init(&store->lock, NULL) != 0) {
        free(store->sections);
        free(store);
        return NULL;
    }
    store->pages_max = pages_max;
    store->page_bytes_max = page_bytes_max;
    store->sections_max = sections_max;
    return store;
}

void ghost_log_store_free(ghost_log_store *store) {
    if (store == NULL) {
        return;
    }
    for (log_page *page = store->oldest, *newer; page != NULL; page = newer) {
        newer = page->newer;
        ghost_store_release(page);
    }
    for (size_t i = 0; i < store->sections_max; i++) {
        ghost_section_free(store->sections[i]);
    }
    pthread_mutex_destroy(&store->lock);
    free(store->sections);
    free(store);
}

void ghost_log_store_leave(ghost_log_store *store) {
    atomic_store(&store->is_left, true);
}

/* ---- pages ---- */

static log_page **bucket_of(ghost_log_store *store, uint64_t number) {
    return &store->buckets[number % STORE_BUCKETS];
}

static log_page *find_page(ghost_log_store *store, uint64_t number) {
    log_page *page = *bucket_of(store, number);
    while (page != NULL && page->number != number) {
        page = page->next_in_bucket;
    }
    return page;
}

log_page *ghost_store_hold(ghost_log_store *store, uint64_t number) {
    log_page *page = find_page(store, number);
    if (page != NULL) {
        atomic_fetch_add(&page->holders, 1);
    }
    return page;
}

void ghost_store_release(log_page *page) {
    if (page != NULL && atomic_fetch_sub(&page->holders, 1) == 1) {
        free(page);
    }
}

static void drop_oldest(ghost_log_store *store) {
    log_page *page = store->oldest, **at = bucket_of(store, page->number);
    while (*at != page) {
        at = &(*at)->next_in_bucket;
    }
    *at = page->next_in_bucket;
    store->oldest = page->newer;
    if (store->newest == page) {
        store->newest = NULL;
    }
    store->page_count--;
    store->page_bytes -= page->length + PAGE_OVERHEAD_BYTES;
    ghost_store_release(page);
}

static void put_page(ghost_log_store *store, log_page *page) {
    size_t size = page->length + PAGE_OVERHEAD_BYTES;
    while (store->page_count >= store->pages_max ||
           store->page_bytes + size > store->page_bytes_max) {
        drop_oldest(store);
    }
    log_page **bucket = bucket_of(store, page->number);
    page->next_in_bucket = *bucket;
    *bucket = page;
    if (store->newest == NULL) {
        store->oldest = page;
    } else {
        store->newest->newer = page;
    }
    store->newest = page;
    store->page_count++;
    store->page_bytes += size;
}

void ghost_log_store_put(ghost_log_store *store, uint64_t number, const uint8_t *data,
                         size_t length) {
    if (store->pages_max == 0 || length > store->page_bytes_max ||
        length + PAGE_OVERHEAD_BYTES > store->page_bytes_max) {
        return;
    }
    log_page *page = malloc(sizeof *page + length);
    if (page == NULL) {
        return;
    }
    page->number = number;
    page->newer = NULL;
    page->length = length;
    atomic_init(&page->holders, 1);
    if (length != 0) {
        memcpy(page->data, data, length);
    }
    pthread_mutex_lock(&store->lock);
    if (find_page(store, number) == NULL) {
        put_page(store, page);
        page = NULL;
    }
    pthread_mutex_unlock(&store->lock);
    free(page);
}

int ghost_log_store_get(ghost_bytes *out, ghost_log_store *store, uint64_t number) {
    *out = (ghost_bytes){0};
    pthread_mutex_lock(&store->lock);
    log_page *page = ghost_store_hold(store, number);
    pthread_mutex_unlock(&store->lock);
    if (page == NULL) {
        return GHOST_MISSING;
    }
    out->data = malloc(page->length + 1);
    if (out->data != NULL) {
        memcpy(out->data, page->data, page->length);
        out->length = page->length;
    }
    ghost_store_release(page);
    return out->data == NULL ? GHOST_OUT_OF_MEMORY : GHOST_OK;
}

/* ---- blooms ---- */

bloom_section *ghost_store_section(const ghost_log_store *store, uint64_t index) {
    bloom_section *section = store->sections[index % store->sections_max];
    return section != NULL && section->index == index ? section : NULL;
}

void ghost_section_free(bloom_section *section) {
    if (section != NULL) {
        free(section->columns);
        free(section);
    }
}

static size_t size_of(const bloom_section *section) {
    return section == NULL ? 0 : sizeof *section + section->room * sizeof(bloom_column);
}

void ghost_store_keep(ghost_log_store *store, bloom_section *section) {
    bloom_section **place = &store->sections[section->index % store->sections_max];
    if (*place != NULL && (*place)->index == section->index && (*place)->filled > section->filled) {
        ghost_section_free(section);
        return;
    }
    store->section_bytes += size_of(section) - size_of(*place);
    ghost_section_free(*place);
    *place = section;
}

/* With columns for these bits, a bloom's, and the one of zeros; NULL when memory is out. */
static bloom_section *make_section(uint64_t index, const uint8_t bits[BLOOM_BYTES]) {
    bloom_section *section = calloc(1, sizeof *section);
    if (section == NULL) {
        return NULL;
    }
    section->index = index;
    section->column_count = 1;
    for (size_t byte = 0; byte < BLOOM_BYTES; byte++) {
        for (uint32_t left = bits[byte]; left != 0; left &= left - 1) {
            section->places[8 * byte + (size_t)__builtin_ctz(left)] = section->column_count++;
        }
    }
    section->room = section->column_count;
    section->columns = calloc(section->room, sizeof(bloom_column));
    if (section->columns == NULL) {
        free(section);
        return NULL;
    }
    return section;
}

/* Bit k of byte i becomes bit i of byte k (Hacker's Delight, 7-3). */
static uint64_t transposed(uint64_t x) {
    uint64_t t = (x ^ x >> 7) & 0x00aa00aa00aa00aa;
    x ^= t ^ t << 7;
    t = (x ^ x >> 14) & 0x0000cccc0000cccc;
    x ^= t ^ t << 14;
    t = (x ^ x >> 28) & 0x00000000f0f0f0f0;
    return x ^ t ^ t << 28;
}

/* Byte `at` of up to eight blooms, of blocks from `first` on. */
static void put_eight(bloom_section *section, const uint8_t *blooms, uint32_t first, uint32_t count,
                      size_t at) {
    uint64_t rows = 0;
    for (uint32_t i = 0; i < count; i++) {
        rows |= (uint64_t)blooms[i * BLOOM_BYTES + at] << (8 * i);
    }
    uint64_t columns = transposed(rows);
    for (size_t k = 0; columns != 0; k++, columns >>= 8) {
        uint64_t bits = columns & 255;
        if (bits != 0) {
            section->columns[section->places[8 * at + k]][first / 64] |= bits << first % 64;
        }
    }
}

static void add_bits(uint8_t *restrict bits, const uint8_t *restrict bloom) {
    for (size_t at = 0; at < BLOOM_BYTES; at++) {
        bits[at] |= bloom[at];
    }
}

bloom_section *ghost_section_of(uint64_t index, const uint8_t *blooms, uint32_t filled) {
    /* Of eight blooms together, and of all. */
    uint8_t some[SECTION_BLOCKS / 8][BLOOM_BYTES] = {0}, all[BLOOM_BYTES] = {0};
    for (uint32_t i = 0; i < filled; i++) {
        add_bits(some[i / 8], blooms + (size_t)i * BLOOM_BYTES);
    }
    for (uint32_t first = 0; first < filled; first += 8) {
        add_bits(all, some[first / 8]);
    }
    bloom_section *section = make_section(index, all);
    if (section == NULL) {
        return NULL;
    }
    section->filled = filled;
    for (uint32_t first = 0; first < filled; first += 8) {
        const uint8_t *eight = blooms + (size_t)first * BLOOM_BYTES, *bits = some[first / 8];
        uint32_t count = filled - first < 8 ? filled - first : 8;
        for (size_t at = 0; at < BLOOM_BYTES; at++) {
            if (bits[at] != 0) {
                put_eight(section, eight, first, count, at);
            }
        }
    }
    return section;
}

/* The column of a bit, a new one if need be; NULL when memory is out. */
static bloom_column *column_for(bloom_section *section, size_t bit) {
    if (section->places[bit] == 0) {
        if (section->column_count == section->room) {
            uint16_t room = (uint16_t)(2 * section->room);
            bloom_column *columns = realloc(section->columns, room * sizeof(bloom_column));
            if (columns == NULL) {
                return NULL;
            }
            section->columns = columns;
            section->room = room;
        }
        memset(section->columns[section->column_count], 0, sizeof(bloom_column));
        section->places[bit] = section->column_count++;
    }
    return &section->columns[section->places[bit]];
}

static bool put_bloom(bloom_section *section, const uint8_t *bloom, uint32_t place) {
    for (size_t byte = 0; byte < BLOOM_BYTES; byte++) {
        for (size_t k = 0; k < 8 && bloom[byte] != 0; k++) {
            if ((bloom[byte] >> k & 1) == 0) {
                continue;
            }
            bloom_column *column = column_for(section, 8 * byte + k);
            if (column == NULL) {
                return false;
            }
            (*column)[place / 64] |= (uint64_t)1 << place % 64;
        }
    }
    return true;
}

void ghost_log_store_follow(ghost_log_store *store, uint64_t number, const uint8_t *bloom) {
    uint64_t index = number / SECTION_BLOCKS;
    uint32_t place = (uint32_t)(number % SECTION_BLOCKS);
    pthread_mutex_lock(&store->lock);
    bloom_section *section = ghost_store_section(store, index);
    if (section == NULL && place == 0 && index > 0) {
        /* Whoever follows the head goes on from the section before. */
        const bloom_section *before = ghost_store_section(store, index - 1);
        if (before != NULL && before->filled == SECTION_BLOCKS) {
            section = ghost_section_of(index, bloom, 0);
        }
        if (section != NULL) {
            ghost_store_keep(store, section);
        }
    }
    if (section != NULL && section->filled == place) {
        size_t before = size_of(section);
        section->filled += put_bloom(section, bloom, place);
        store->section_bytes += size_of(section) - before;
    }
    pthread_mutex_unlock(&store->lock);
}

size_t ghost_log_store_memory(ghost_log_store *store) {
    pthread_mutex_lock(&store->lock);
    size_t held = sizeof *store + store->sections_max * sizeof(bloom_section *) +
                  store->section_bytes + store->page_bytes;
    pthread_mutex_unlock(&store->lock);
    return held;
}

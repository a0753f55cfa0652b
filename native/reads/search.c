/* Searches: sections of blooms say which blocks may match, pages what they have. */
#include <stdlib.h>
#include <unistd.h>

#include "pages.h"
#include "store.h"

enum {
    /* What things cost, about in microseconds. */
    SECTION_WORK = 20,
    READING_WORK = 5,
    CHOICES_PER_WORK = 16,
    PAGE_BYTES_PER_WORK = 4096,
    RECORD_BYTES_PER_WORK = 256
};

typedef struct running {
    ghost_log_search *search;
    ghost_log_store *store;
    block_reader reader;
    page_buffer text, fresh; /* found; the page that was just read */
    uint8_t *blooms;         /* room for those of a section */
    size_t work;
} running;

/* Blocks of a section that may match, and the pages that there are of them, held. */
typedef struct candidates {
    uint64_t mask[SECTION_WORDS];
    log_page *pages[SECTION_BLOCKS];
} candidates;

/* ---- which blocks ---- */

/* Blocks from..to of a section. */
static void put_span(uint64_t mask[SECTION_WORDS], uint32_t from, uint32_t to) {
    for (uint32_t word = 0; word < SECTION_WORDS; word++) {
        uint32_t start = 64 * word, end = start + 63;
        mask[word] = 0;
        if (from <= end && to >= start) {
            uint32_t low = from > start ? from - start : 0, high = to < end ? to - start : 63;
            mask[word] = UINT64_MAX << low & UINT64_MAX >> (63 - high);
        }
    }
}

/* A bit of the Yellow Paper's numbering as a column. */
static const uint64_t *column_of(const bloom_section *section, uint16_t bit) {
    return section->columns[section->places[8 * (BLOOM_BYTES - 1 - bit / 8) + bit % 8]];
}

/* Leaves the blocks whose blooms do not rule a match out. What that has cost. */
static size_t narrow(uint64_t mask[SECTION_WORDS], const bloom_section *section,
                     const ghost_log_search *search) {
    const uint16_t *bits = search->bits;
    size_t columns = 0;
    for (size_t group = 0; group < search->groups; group++) {
        uint64_t any[SECTION_WORDS] = {0};
        columns += search->alternatives[group];
        for (size_t i = 0; i < search->alternatives[group]; i++, bits += 3) {
            const uint64_t *a = column_of(section, bits[0]), *b = column_of(section, bits[1]);
            const uint64_t *c = column_of(section, bits[2]);
            for (size_t word = 0; word < SECTION_WORDS; word++) {
                any[word] |= a[word] & b[word] & c[word];
            }
        }
        for (size_t word = 0; word < SECTION_WORDS; word++) {
            mask[word] &= any[word];
        }
    }
    return columns / CHOICES_PER_WORK;
}

/* The blooms of a section that are on disk; NULL with GHOST_OK where they are of another chain. */
static int read_section(bloom_section **out, running *run, uint64_t index) {
    *out = NULL;
    uint64_t first = index * SECTION_BLOCKS, count = run->search->head + 1 - first;
    if (count > SECTION_BLOCKS) {
        count = SECTION_BLOCKS;
    }
    if (atomic_load(&run->store->is_left)) {
        return GHOST_OK;
    }
    size_t size = (size_t)count * BLOOM_BYTES;
    if (run->blooms == NULL) {
        run->blooms = malloc(SECTION_BLOCKS * BLOOM_BYTES);
    }
    if (run->blooms == NULL) {
        return GHOST_OUT_OF_MEMORY;
    }
    ssize_t read =
        pread(run->reader.files->blooms, run->blooms, size, (off_t)(first * BLOOM_BYTES));
    if (atomic_load(&run->store->is_left)) {
        return GHOST_OK;
    }
    if (read != (ssize_t)size) {
        return GHOST_MALFORMED;
    }
    *out = ghost_section_of(index, run->blooms, (uint32_t)count);
    return *out == NULL ? GHOST_OUT_OF_MEMORY : GHOST_OK;
}

static bool lock(const running *run) {
    if (run->reader.files == NULL) {
        return pthread_mutex_trylock(&run->store->lock) == 0;
    }
    pthread_mutex_lock(&run->store->lock);
    return true;
}

/* With the lock held, which is let go. */
static void hold_pages(candidates *out, const running *run, uint64_t index) {
    for (uint32_t word = 0; word < SECTION_WORDS; word++) {
        for (uint64_t left = out->mask[word]; left != 0; left &= left - 1) {
            uint32_t place = 64 * word + (uint32_t)__builtin_ctzll(left);
            out->pages[place] = ghost_store_hold(run->store, index * SECTION_BLOCKS + place);
        }
    }
    pthread_mutex_unlock(&run->store->lock);
}

/* Of blocks from..to of a section. */
static int find_candidates(candidates *out, running *run, uint64_t index, uint32_t from,
                           uint32_t to) {
    put_span(out->mask, from, to);
    if (!lock(run)) {
        return GHOST_MISSING;
    }
    const bloom_section *known = ghost_store_section(run->store, index);
    if (known != NULL && known->filled > to) {
        run->work += narrow(out->mask, known, run->search);
        hold_pages(out, run, index);
        return GHOST_OK;
    }
    pthread_mutex_unlock(&run->store->lock);
    if (run->reader.files == NULL) {
        return GHOST_MISSING;
    }
    bloom_section *read;
    int status = read_section(&read, run, index);
    if (status != GHOST_OK) {
        return status;
    }
    run->work += SECTION_WORK;
    pthread_mutex_lock(&run->store->lock);
    if (read != NULL) {
        run->work += narrow(out->mask, read, run->search);
        ghost_store_keep(run->store, read);
    }
    hold_pages(out, run, index);
    return GHOST_OK;
}

/* ---- what they have ---- */

/* The block at a place of the section, loaded with those after it that will be wanted too. */
static const loaded_block *load_from(running *run, const candidates *found, uint32_t place) {
    uint64_t first = run->search->next - place;
    const loaded_block *loaded = ghost_reader_find(&run->reader, first + place);
    if (loaded != NULL) {
        return loaded;
    }
    uint64_t numbers[BLOCKS_AT_ONCE];
    size_t count = 0;
    for (; place < SECTION_BLOCKS && count < BLOCKS_AT_ONCE; place++) {
        bool is_wanted = found->mask[place / 64] >> place % 64 & 1;
        if (is_wanted && found->pages[place] == NULL) {
            numbers[count++] = first + place;
        }
    }
    ghost_reader_load(&run->reader, numbers, count);
    return &run->reader.loaded[0];
}

/* The page of the next block, which nobody keeps. */
static int read_page(ghost_view *out, running *run, const candidates *found, uint32_t place) {
    ghost_log_search *search = run->search;
    uint64_t number = search->next;
    if (search->is_given) {
        search->is_given = 0;
        *out = search->given;
        return GHOST_OK;
    }
    if (run->reader.files == NULL) {
        return GHOST_MISSING;
    }
    bool is_whole = false;
    int status = GHOST_MALFORMED;
    run->fresh.length = 0;
    const loaded_block *loaded = NULL;
    if (!atomic_load(&run->store->is_left)) {
        loaded = load_from(run, found, place);
        status =
            ghost_pages_read(&run->fresh, &is_whole, loaded, search->filter, search->whole_max);
    }
    if (status == GHOST_MISSING) {
        search->need = GHOST_NEEDS_SEGMENT;
        search->segment = loaded->segment;
        return status;
    }
    if (status == GHOST_MALFORMED || atomic_load(&run->store->is_left)) {
        search->need = GHOST_NEEDS_PAGE;
        return status == GHOST_OUT_OF_MEMORY ? status : GHOST_MISSING;
    }
    if (status != GHOST_OK) {
        return status;
    }
    if (is_whole) {
        ghost_log_store_put(run->store, number, run->fresh.data, run->fresh.length);
    }
    size_t size = loaded->block.body.length + loaded->block.receipts.length;
    run->work += READING_WORK + size / RECORD_BYTES_PER_WORK;
    *out = (ghost_view){run->fresh.data, run->fresh.length};
    return GHOST_OK;
}

static int search_block(running *run, const candidates *found, uint32_t place) {
    ghost_log_search *search = run->search;
    const log_page *page = found->pages[place];
    ghost_view view;
    int status = GHOST_OK;
    if (page != NULL) {
        search->is_given = 0;
        view = (ghost_view){page->data, page->length};
    } else {
        status = read_page(&view, run, found, place);
    }
    if (status != GHOST_OK) {
        return status;
    }
    run->work += 1 + view.length / PAGE_BYTES_PER_WORK;
    if (!ghost_pages_select(&run->text, &view, search->filter, &search->logs)) {
        return GHOST_OUT_OF_MEMORY;
    }
    bool is_much =
        search->logs > search->logs_max ||
        (run->text.length != 0 && search->bytes + run->text.length + 1 > search->bytes_max);
    return is_much ? GHOST_LIMIT : GHOST_OK;
}

/* What is left of the section in which the next block is. */
static int search_section(running *run) {
    ghost_log_search *search = run->search;
    uint64_t index = search->next / SECTION_BLOCKS, first = index * SECTION_BLOCKS;
    uint64_t last = search->last - first;
    candidates found;
    uint32_t to = last < SECTION_BLOCKS ? (uint32_t)last : SECTION_BLOCKS - 1;
    int status = find_candidates(&found, run, index, (uint32_t)(search->next - first), to);
    if (status != GHOST_OK) {
        return status;
    }
    bool goes_on = true;
    for (uint32_t word = 0; word < SECTION_WORDS; word++) {
        for (uint64_t left = found.mask[word]; left != 0; left &= left - 1) {
            uint32_t place = 64 * word + (uint32_t)__builtin_ctzll(left);
            if (goes_on) {
                search->next = first + place;
                status = search_block(run, &found, place);
                search->next += status == GHOST_OK;
                goes_on = status == GHOST_OK && run->work < search->work_max;
            }
            ghost_store_release(found.pages[place]);
        }
    }
    if (goes_on) {
        search->next = first + to + 1;
    }
    return status;
}

int ghost_logs_search(ghost_bytes *out, ghost_log_search *search, ghost_log_store *store,
                      const ghost_log_files *files) {
    running run = {.search = search, .store = store, .reader = {.files = files}};
    int status = GHOST_OK;
    search->need = GHOST_NEEDS_MEMORY;
    while (status == GHOST_OK && search->next <= search->last && run.work < search->work_max) {
        run.work++;
        status = search_section(&run);
    }
    search->bytes += run.text.length + (run.text.length != 0);
    free(run.reader.records.data);
    free(run.fresh.data);
    free(run.blooms);
    if (status == GHOST_OUT_OF_MEMORY || status == GHOST_MALFORMED) {
        free(run.text.data);
        run.text = (page_buffer){0};
    }
    *out = (ghost_bytes){run.text.data, run.text.length};
    return status;
}

void ghost_logs_learn(ghost_log_store *store, int blooms, uint64_t head, size_t sections) {
    ghost_log_search search = {.head = head};
    ghost_log_files files = {.blooms = blooms};
    running run = {.search = &search, .store = store, .reader = {.files = &files}};
    uint64_t last = head / SECTION_BLOCKS;
    for (uint64_t i = 0; i < sections && i <= last; i++) {
        bloom_section *section;
        if (read_section(&section, &run, last - i) != GHOST_OK || section == NULL) {
            break;
        }
        pthread_mutex_lock(&store->lock);
        ghost_store_keep(store, section);
        pthread_mutex_unlock(&store->lock);
    }
    free(run.blooms);
}

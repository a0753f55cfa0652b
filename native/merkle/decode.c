/* Trie nodes from their RLP, strictly: what does not encode back to the same bytes is refused. */
#include "nodes.h"

/* One item of RLP. raw includes the header. */
typedef struct rlp_item {
    bool list;
    ghost_view raw;
    ghost_view content;
} rlp_item;

/* Takes the first item off input. False when it is truncated or not in its shortest form. */
static bool take_item(ghost_view *input, rlp_item *item) {
    if (input->length == 0)
        return false;
    const uint8_t *data = input->data;
    uint8_t first = data[0];
    size_t header = 1, length;
    item->list = first >= 0xc0;
    uint8_t base = item->list ? 0xc0 : 0x80;
    if (first < 0x80) {
        header = 0;
        length = 1;
    } else if (first < base + 56) {
        length = (size_t)(first - base);
    } else {
        size_t size = (size_t)(first - base - 55);
        /* No node has more than 64 KiB. */
        if (size > 2 || input->length < 1 + size || data[1] == 0)
            return false;
        length = size == 1 ? data[1] : (size_t)data[1] << 8 | data[2];
        header = 1 + size;
        if (length < 56)
            return false;
    }
    if (input->length < header + length)
        return false;
    item->raw = (ghost_view){data, header + length};
    item->content = (ghost_view){data + header, length};
    if (!item->list && header == 1 && length == 1 && data[1] < 0x80)
        return false;
    input->data += header + length;
    input->length -= header + length;
    return true;
}

/* A reference to a child: a 32-byte string, or a list of fewer than 32 bytes in all. */
static bool read_reference(const rlp_item *item, slot *out) {
    *out = (slot){0};
    if (item->list) {
        if (item->raw.length >= 32 || item->raw.length < 2)
            return false;
        out->state = SLOT_EMBEDDED;
        memcpy(out->reference, item->raw.data, item->raw.length);
        return true;
    }
    if (item->content.length != 32)
        return false;
    out->state = SLOT_HASHED;
    memcpy(out->reference, item->content.data, 32);
    return true;
}

static int decode_branch(pool *pool, node **out, const rlp_item items[17], unsigned depth) {
    unsigned count = 0;
    for (unsigned nibble = 0; nibble < 16; nibble++)
        count += items[nibble].list || items[nibble].content.length != 0;
    /* Keys are of one length, so no value ends at a branch. */
    if (count < 2 || depth >= KEY_NIBBLES || items[16].list || items[16].content.length != 0)
        return GHOST_MALFORMED;
    inner *branch = trie_branch_new(pool, count);
    if (branch == NULL)
        return GHOST_OUT_OF_MEMORY;
    unsigned rank = 0;
    for (unsigned nibble = 0; nibble < 16; nibble++) {
        slot child;
        if (!items[nibble].list && items[nibble].content.length == 0)
            continue;
        if (!read_reference(&items[nibble], &child)) {
            trie_node_free(pool, &branch->head);
            return GHOST_MALFORMED;
        }
        trie_slot_put(branch, nibble, rank++, &child);
    }
    *out = &branch->head;
    return GHOST_OK;
}

static bool is_canonical_integer(const rlp_item *item, size_t length_max) {
    return !item->list && item->content.length <= length_max &&
           (item->content.length == 0 || item->content.data[0] != 0);
}

static bool is_hash(const rlp_item *item) {
    return !item->list && item->content.length == 32;
}

static int decode_account(pool *pool, node **out, const uint8_t key[32], ghost_view value) {
    rlp_item list, fields[4];
    if (!take_item(&value, &list) || !list.list || value.length != 0)
        return GHOST_MALFORMED;
    for (int i = 0; i < 4; i++) {
        if (!take_item(&list.content, &fields[i]))
            return GHOST_MALFORMED;
    }
    if (list.content.length != 0 || !is_canonical_integer(&fields[0], 8) ||
        !is_canonical_integer(&fields[1], 32) || !is_hash(&fields[2]) || !is_hash(&fields[3]))
        return GHOST_MALFORMED;
    ghost_account_record record = {0};
    for (size_t i = 0; i < fields[0].content.length; i++)
        record.nonce = record.nonce << 8 | fields[0].content.data[i];
    size_t length = fields[1].content.length;
    memcpy(record.balance + 32 - length, fields[1].content.data, length);
    memcpy(record.storage_root, fields[2].content.data, 32);
    memcpy(record.code_hash, fields[3].content.data, 32);
    leaf *made = trie_account_leaf_new(pool, key, &record);
    *out = made == NULL ? NULL : &made->head;
    return made == NULL ? GHOST_OUT_OF_MEMORY : GHOST_OK;
}

static int decode_slot(pool *pool, node **out, const uint8_t key[32], ghost_view value) {
    rlp_item item;
    if (!take_item(&value, &item) || value.length != 0 || item.content.length == 0 ||
        !is_canonical_integer(&item, 32))
        return GHOST_MALFORMED;
    leaf *made = trie_leaf_new(pool, key, item.raw.data, item.raw.length, 0);
    *out = made == NULL ? NULL : &made->head;
    return made == NULL ? GHOST_OUT_OF_MEMORY : GHOST_OK;
}

/* Unpacks a hex-prefix string. Returns false when its flag or padding is not canonical. */
static bool unpack_path(const rlp_item *item, uint8_t path[KEY_NIBBLES + 2], unsigned *length,
                        bool *is_leaf) {
    size_t size = item->content.length;
    if (item->list || size == 0 || size > KEY_NIBBLES / 2 + 1)
        return false;
    uint8_t first = item->content.data[0];
    if (first >= 0x40 || (!(first & 0x10) && (first & 15) != 0))
        return false;
    *is_leaf = first & 0x20;
    unsigned count = 0;
    if (first & 0x10)
        path[count++] = first & 15;
    for (size_t i = 1; i < size; i++) {
        path[count++] = item->content.data[i] >> 4;
        path[count++] = item->content.data[i] & 15;
    }
    *length = count;
    return true;
}

static int decode_short(pool *pool, node **out, const rlp_item items[2], const uint8_t key[32],
                        unsigned depth, bool accounts) {
    uint8_t path[KEY_NIBBLES + 2];
    unsigned length;
    bool is_leaf;
    if (!unpack_path(&items[0], path, &length, &is_leaf))
        return GHOST_MALFORMED;
    if (!is_leaf) {
        slot child;
        if (length == 0 || depth + length >= KEY_NIBBLES || !read_reference(&items[1], &child))
            return GHOST_MALFORMED;
        inner *extension = trie_extension_new(pool, path, length);
        if (extension == NULL)
            return GHOST_OUT_OF_MEMORY;
        trie_slot_put(extension, 0, 0, &child);
        *out = &extension->head;
        return GHOST_OK;
    }
    if (depth + length != KEY_NIBBLES || items[1].list)
        return GHOST_MALFORMED;
    uint8_t whole[32] = {0};
    for (unsigned i = 0; i < KEY_NIBBLES; i++) {
        unsigned nibble = i < depth ? key_nibble(key, i) : path[i - depth];
        whole[i / 2] |= (uint8_t)(i % 2 == 0 ? nibble << 4 : nibble);
    }
    return accounts ? decode_account(pool, out, whole, items[1].content)
                    : decode_slot(pool, out, whole, items[1].content);
}

int trie_node_decode(pool *pool, node **out, const uint8_t *data, size_t length,
                     const uint8_t key[32], unsigned depth, bool accounts) {
    ghost_view input = {data, length};
    rlp_item list, items[17];
    if (!take_item(&input, &list) || !list.list || input.length != 0)
        return GHOST_MALFORMED;
    unsigned count = 0;
    while (list.content.length > 0) {
        if (count == 17 || !take_item(&list.content, &items[count++]))
            return GHOST_MALFORMED;
    }
    if (count == 17)
        return decode_branch(pool, out, items, depth);
    if (count == 2)
        return decode_short(pool, out, items, key, depth, accounts);
    return GHOST_MALFORMED;
}

/* What the files of the recorder share. */
#ifndef GHOST_TRACE_H
#define GHOST_TRACE_H

#include "overlay.h"

/* From entries of the overlay to places in a list, for one transaction. */
typedef struct place_map {
    const void **keys;
    uint32_t *places;
    uint64_t *serials;            /* of the transaction that put it there */
    size_t mask;                  /* 0: nothing is allocated */
    size_t count;
    uint64_t serial;
} place_map;

/* The slots of a contract that the struct logger has shown. */
typedef struct contract_slots {
    uint8_t *items;               /* pieces of JSON of one length, sorted by key */
    size_t count, room;
} contract_slots;

typedef struct step_json {
    uint8_t *bytes;
    size_t length, room;
    size_t begin;                 /* of the transaction */
    size_t step_bytes;            /* of its steps, without what separates them */
    LIST_OF(ghost_trace_mark) marks;
    LIST_OF(contract_slots) contracts;            /* of the transaction; those beyond keep memory */
    place_map places;             /* of contracts[], by account */
    uint8_t *head;                /* what stands before the steps of one transaction alone */
} step_json;

struct trace {
    ghost_tracer hooks;
    ghost_trace_watch watch;
    ghost_executor *executor;
    LIST_OF(ghost_trace_frame) frames;
    LIST_OF(ghost_trace_log) logs;
    LIST_OF(ghost_trace_account) accounts;
    LIST_OF(account_entry *) account_entries;     /* of accounts[], same order */
    LIST_OF(ghost_trace_slot) slots;
    LIST_OF(slot_entry *) slot_entries;
    LIST_OF(ghost_trace_access) accesses;
    LIST_OF(ghost_view) hashes;
    LIST_OF(ghost_trace_step) steps;
    place_map account_places, slot_places;
    size_t account_first, slot_first;             /* of the transaction */
    step_json json;
    arena bytes;                  /* all data behind the lists */
    uint64_t byte_count;
    uint64_t ticks;               /* events since the clock was last asked */
    uint32_t transaction;
    bool is_cut;
    uint32_t open[CALL_DEPTH_MAX + 2];    /* by depth: the place in frames of the one that runs */
};

/* A copy that lives until the next run; NULL and cut when it would be too much. */
const uint8_t *trace_keep(trace *trace, const uint8_t *bytes, size_t length);
/* Whether there is room for one more in a list of `count`; else the trace is cut. */
bool trace_has_room(trace *trace, size_t count);
/* 0, or ABORT once the deadline is over. weight: how much work the event stands for. */
int trace_check_time(trace *trace, uint64_t weight);

/* ---- trace_places.c ---- */
bool places_find(const place_map *map, const void *key, uint32_t *place);
/* False: memory is out. */
bool places_put(place_map *map, const void *key, uint32_t place);
void places_clear(place_map *map);
void places_free(place_map *map);

/* ---- trace_touches.c ---- */
void touches_clear(trace *trace);
void touches_free(trace *trace);
void touches_begin_transaction(trace *trace);
/* Around a frame of message that begins, which is a call. */
void touches_callee(trace *trace, const ghost_address *address, uint32_t frame);
void touches_creation(trace *trace, const ghost_address *address, uint32_t frame);
void touches_destruction(trace *trace, const ghost_message *message, const ghost_address *heir,
                         uint32_t frame);
void trace_on_account(void *context, const ghost_message *message, const ghost_account *account,
                      uint8_t access);
void trace_on_slot(void *context, const ghost_message *message, const ghost_account *self,
                   const ghost_slot *slot, const u256 *key, uint8_t access);

/* ---- trace_steps.c ---- */
int trace_on_step(void *context, const ghost_step *step);

/* ---- trace_json.c ---- */
int trace_on_json_step(void *context, const ghost_step *step);
void json_begin_transaction(trace *trace);
void json_clear(trace *trace);
void json_free(trace *trace);

#endif

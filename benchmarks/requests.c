/* The load of bench_rpc_reads.py: prepared HTTP requests over keep-alive connections, as fast as
 * the server answers, one request under way on each connection.
 *
 *     requests PORT CONNECTIONS SECONDS < requests
 *     requests PORT CONNECTIONS once < requests
 *     requests PORT CONNECTIONS each < requests
 *     requests PORT CONNECTIONS SECONDS websocket < frames
 *
 * Standard input: whole requests, each behind its length (32 bits, little endian); connections go
 * through them in turn, or send each of them once: "once" whoever is free the next, "each" the
 * first connection the first of every CONNECTIONS, the second the second, and so on, in their
 * order. Standard output: one JSON object with what was counted. A response that is not status 200,
 * or whose first kilobyte has an "error" member, counts as refused.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define REQUESTS_MAX 65536
#define BUFFER_BYTES (1 << 18)
#define SAMPLES_MAX (1 << 22)
#define HEAD_BYTES_MAX 16384

typedef struct {
    char *data;
    uint32_t length;
} request;

enum state { HEAD, BODY, CHUNK_SIZE, CHUNK, CHUNK_END, FRAME };

typedef struct {
    int socket;
    size_t next, sent;
    const request *current;
    enum state state;
    char head[HEAD_BYTES_MAX];
    size_t head_length;
    uint64_t left;
    size_t looked_at;
    int refused, last_chunk;
    uint64_t started_ns;
} connection;

static request requests[REQUESTS_MAX];
static size_t request_count;
static connection connections[CONNECTIONS_MAX];
static uint32_t samples_us[SAMPLES_MAX];
static size_t sample_count;
static uint64_t answered, refused, bytes;
static int is_once, is_each, is_websocket;
static size_t sent_once, stride = 1;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void read_requests(void) {
    uint32_t length;
    while (request_count < REQUESTS_MAX && fread(&length, 4, 1, stdin) == 1) {
        request *item = &requests[request_count++];
        item->data = malloc(length);
        item->length = length;
        if (item->data == NULL || fread(item->data, 1, length, stdin) != length) {
            fail("reading the requests");
        }
    }
    if (request_count == 0) {
        fail("no requests");
    }
}

static void send_rest(connection *of) {
    while (of->sent < of->current->length) {
        ssize_t count =
            send(of->socket, of->current->data + of->sent, of->current->length - of->sent, 0);
        if (count < 0) {
            fail("send");
        }
        of->sent += (size_t)count;
    }
}

/* False when there is nothing left to send. */
static int begin(connection *of) {
    if ((is_once && sent_once == request_count) || (is_each && of->next >= request_count)) {
        return 0;
    }
    of->current = &requests[is_once ? sent_once++ : of->next];
    of->next = is_each ? of->next + stride : (of->next + 1) % request_count;
    of->sent = 0;
    of->state = is_websocket ? FRAME : HEAD;
    of->head_length = 0;
    of->looked_at = 0;
    of->refused = 0;
    of->started_ns = now_ns();
    send_rest(of);
    return 1;
}

static void finish(connection *of) {
    answered++;
    refused += (uint64_t)of->refused;
    if (sample_count < SAMPLES_MAX) {
        samples_us[sample_count++] = (uint32_t)((now_ns() - of->started_ns) / 1000);
    }
}

/* The length of the body or, where it comes in chunks, the state CHUNK_SIZE. */
static void parse_head(connection *of) {
    of->head[of->head_length] = 0;
    if (strncmp(of->head, "HTTP/1.1 200", 12) != 0) {
        of->refused = 1;
    }
    of->state = BODY;
    of->left = 0;
    for (char *line = strstr(of->head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, "content-length:", 15) == 0) {
            of->left = strtoull(line + 17, NULL, 10);
        } else if (strncasecmp(line + 2, "transfer-encoding: chunked", 26) == 0) {
            of->state = CHUNK_SIZE;
            of->head_length = 0;
            return;
        }
    }
}

/* The head of a frame as far as it is there; true when the length of its payload is known. */
static int parse_frame(connection *of) {
    const uint8_t *head = (const uint8_t *)of->head;
    if (of->head_length < 2) {
        return 0;
    }
    size_t more = head[1] == 127 ? 8 : head[1] == 126 ? 2 : 0;
    if (of->head_length < 2 + more) {
        return 0;
    }
    of->left = more == 0 ? head[1] : 0;
    for (size_t i = 0; i < more; i++) {
        of->left = of->left << 8 | head[2 + i];
    }
    of->refused |= head[0] != 0x81;
    of->state = BODY;
    return 1;
}

static void look(connection *of, const char *data, size_t length) {
    if (of->looked_at < 1024) {
        of->looked_at += length;
        if (memmem(data, length < 1024 ? length : 1024, "\"error\"", 7) != NULL) {
            of->refused = 1;
        }
    }
}

/* Takes what came; true when the response is whole. */
static int take(connection *of, const char *data, size_t length) {
    bytes += length;
    size_t at = 0;
    while (at < length || (of->state == BODY && of->left == 0)) {
        if (of->state == BODY || of->state == CHUNK) {
            size_t count = length - at < of->left ? length - at : (size_t)of->left;
            look(of, data + at, count);
            at += count;
            of->left -= count;
            if (of->left > 0) {
                return 0;
            }
            if (of->state == BODY) {
                return 1;
            }
            of->state = CHUNK_END;
            continue;
        }
        if (of->head_length + 1 >= HEAD_BYTES_MAX) {
            fail("a head too long");
        }
        of->head[of->head_length++] = data[at++];
        if (of->state == FRAME) {
            parse_frame(of);
            continue;
        }
        int line_ends = of->head_length >= 2 && of->head[of->head_length - 1] == '\n' &&
                        of->head[of->head_length - 2] == '\r';
        if (!line_ends) {
            continue;
        }
        if (of->state == HEAD) {
            if (of->head_length >= 4 &&
                memcmp(of->head + of->head_length - 4, "\r\n\r\n", 4) == 0) {
                parse_head(of);
            }
        } else if (of->state == CHUNK_SIZE) {
            of->left = strtoull(of->head, NULL, 16);
            of->last_chunk = of->left == 0;
            of->head_length = 0;
            of->state = of->last_chunk ? CHUNK_END : CHUNK;
        } else {
            of->head_length = 0;
            of->state = CHUNK_SIZE;
            if (of->last_chunk) {
                return 1;
            }
        }
    }
    return 0;
}

static void open_connection(connection *of, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    of->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (of->socket < 0 || connect(of->socket, (struct sockaddr *)&address, sizeof address) != 0) {
        fail("connect");
    }
    int on = 1;
    setsockopt(of->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* Asks for a WebSocket and reads the answer to that. */
static void shake_hands(connection *of) {
    static const char wanted[] =
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    if (send(of->socket, wanted, sizeof wanted - 1, 0) != sizeof wanted - 1) {
        fail("send");
    }
    for (size_t length = 0; length < 4 || memcmp(of->head + length - 4, "\r\n\r\n", 4) != 0;) {
        if (length == HEAD_BYTES_MAX || recv(of->socket, of->head + length, 1, 0) != 1) {
            fail("no handshake");
        }
        length++;
    }
    if (memcmp(of->head, "HTTP/1.1 101", 12) != 0) {
        fail("no WebSocket");
    }
}

static int ascending(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static void print(double seconds) {
    qsort(samples_us, sample_count, sizeof samples_us[0], ascending);
    size_t last = sample_count ? sample_count - 1 : 0;
    printf("{\"answered\":%llu,\"refused\":%llu,\"bytes\":%llu,\"seconds\":%.6f,"
           "\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}\n",
           (unsigned long long)answered, (unsigned long long)refused, (unsigned long long)bytes,
           seconds, samples_us[last / 2], samples_us[last * 99 / 100], samples_us[last]);
}

int main(int count, char **arguments) {
    if (count != 4 && count != 5) {
        fprintf(stderr, "usage: requests PORT CONNECTIONS SECONDS [websocket] < requests\n");
        return 2;
    }
    int port = atoi(arguments[1]), open = atoi(arguments[2]);
    if (open < 1 || open > CONNECTIONS_MAX) {
        fail("connections");
    }
    is_once = strcmp(arguments[3], "once") == 0;
    is_each = strcmp(arguments[3], "each") == 0;
    stride = is_each ? (size_t)open : 1;
    is_websocket = count == 5;
    read_requests();
    int events = epoll_create1(0);
    for (int index = 0; index < open; index++) {
        connection *of = &connections[index];
        open_connection(of, port);
        if (is_websocket) {
            shake_hands(of);
        }
        of->next = is_each ? (size_t)index : request_count * (size_t)index / (size_t)open;
        struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
        epoll_ctl(events, EPOLL_CTL_ADD, of->socket, &wanted);
    }
    static char buffer[BUFFER_BYTES];
    uint64_t start = now_ns(), end = start + (uint64_t)(atof(arguments[3]) * 1e9), now = start;
    int running = 0;
    for (int index = 0; index < open; index++) {
        running += begin(&connections[index]);
    }
    while (running > 0) {
        struct epoll_event ready[CONNECTIONS_MAX];
        int found = epoll_wait(events, ready, CONNECTIONS_MAX, 60000);
        if (found <= 0) {
            fail("no answer within 60 s");
        }
        for (int index = 0; index < found; index++) {
            connection *of = &connections[ready[index].data.u32];
            ssize_t length = recv(of->socket, buffer, sizeof buffer, 0);
            if (length <= 0) {
                fail("the server closed a connection");
            }
            if (!take(of, buffer, (size_t)length)) {
                continue;
            }
            finish(of);
            now = now_ns();
            if (!(is_once || is_each || now < end) || !begin(of)) {
                running--;
            }
        }
    }
    print((double)(now_ns() - start) / 1e9);
    return 0;
}

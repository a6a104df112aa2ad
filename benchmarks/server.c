/*
 * The load server of the benchmarks: WebSocket over TCP on 127.0.0.1, one thread, epoll.
 *
 *     server echo                          sends every message back
 *     server push CLIENTS MESSAGES SIZE    waits for CLIENTS clients that each sent one message, then
 *                                          sends MESSAGES texts of SIZE bytes to each, then "end"
 *     server idle                          says nothing
 *
 * Prints "PORT n" and serves until its standard input ends or SIGTERM arrives. In every mode it
 * answers pings and closing handshakes. It is made to be faster than any client that is measured
 * against it, not to be complete: no TLS, no extensions, no limit on the size of a message.
 *
 * Linux only.  cc -O2 -o server server.c
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024, MAX_HEAD = 16 * 1024, MAX_EVENTS = 512, BACKLOG = 4096 };
/* While pushing, the kernel holds about this much unsent data per client, or four messages. */
enum { PUSH_SEND_BUFFER = 16 * 1024 };
enum { OP_CONT = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- a growing byte buffer ---- */

struct buffer {
    char *data;
    size_t length, capacity;
};

static void reserve(struct buffer *b, size_t capacity)
{
    if (b->capacity >= capacity)
        return;
    size_t doubled = b->capacity * 2;
    b->capacity = capacity > doubled ? capacity : doubled;
    b->data = realloc(b->data, b->capacity);
    if (b->data == NULL)
        die("realloc");
}

static void append(struct buffer *b, const void *data, size_t length)
{
    reserve(b, b->length + length);
    memcpy(b->data + b->length, data, length);
    b->length += length;
}

static void release(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

/* ---- SHA-1 (FIPS 180-4) and base64 (RFC 4648), for the opening handshake only ---- */

static uint32_t rotate_left(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 80; t++)
        w[t] = rotate_left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);

    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int t = 0; t < 80; t++) {
        uint32_t f, k;
        if (t < 20)
            f = (b & c) | (~b & d), k = 0x5a827999;
        else if (t < 40)
            f = b ^ c ^ d, k = 0x6ed9eba1;
        else if (t < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else
            f = b ^ c ^ d, k = 0xca62c1d6;
        uint32_t next = rotate_left(a, 5) + f + e + k + w[t];
        e = d, d = c, c = rotate_left(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

/* The digest of up to 119 bytes, which is at most two blocks with the padding. */
static void sha1_short(const uint8_t *data, size_t length, uint8_t digest[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t padded[128] = {0};
    size_t total = length + 9 <= 64 ? 64 : 128;
    memcpy(padded, data, length);
    padded[length] = 0x80;
    padded[total - 2] = (uint8_t)(length * 8 >> 8);
    padded[total - 1] = (uint8_t)(length * 8);
    for (size_t i = 0; i < total; i += 64)
        sha1_block(h, padded + i);
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* 20 bytes -> 28 characters and a NUL */
static void base64_digest(const uint8_t digest[20], char text[29])
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t in[21] = {0};
    memcpy(in, digest, 20);
    for (int i = 0; i < 7; i++) {
        uint32_t group = (uint32_t)in[3 * i] << 16 | (uint32_t)in[3 * i + 1] << 8 | in[3 * i + 2];
        for (int j = 0; j < 4; j++)
            text[4 * i + j] = alphabet[group >> (18 - 6 * j) & 63];
    }
    text[27] = '=';
    text[28] = 0;
}

/* ---- connections ---- */

struct connection {
    int fd;
    bool upgraded, ready; /* ready: it has sent the message that opens the gate */
    bool closing;         /* close once `out` is sent */
    bool pushing;         /* in the round robin */
    uint32_t pushed;      /* messages pushed so far */
    struct buffer in;     /* the beginning of an unfinished head or frame */
    struct buffer out;    /* what the socket did not take; nothing is read while there is some */
};

static enum { ECHO, PUSH, IDLE } mode;
static struct connection **connections; /* by descriptor */
static size_t max_fds;
static int epoll_fd, listener;
static struct buffer work;  /* what is read when nothing is left over from before */
static struct buffer reply; /* the answers to one read: sent together */

static uint32_t push_clients, push_messages, ready_clients;
static struct buffer push_frame;
static struct connection **ring; /* those that can take a message now */
static size_t ring_length;

static void watch(struct connection *c, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = c->fd};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0)
        die("epoll_ctl");
}

static void drop(struct connection *c)
{
    if (c->pushing)
        for (size_t i = 0; i < ring_length; i++)
            if (ring[i] == c)
                ring[i] = ring[--ring_length];
    connections[c->fd] = NULL;
    close(c->fd);
    release(&c->in);
    release(&c->out);
    free(c);
}

/* Sends all that the socket takes and keeps the rest. False: the connection is gone. */
static bool transmit(struct connection *c, const char *data, size_t length)
{
    ssize_t sent = send(c->fd, data, length, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            drop(c);
            return false;
        }
        sent = 0;
    }
    if ((size_t)sent < length) {
        append(&c->out, data + sent, length - (size_t)sent);
        watch(c, EPOLL_CTL_MOD, EPOLLOUT);
    } else if (c->closing) {
        drop(c);
        return false;
    }
    return true;
}

static bool on_writable(struct connection *c)
{
    ssize_t sent = send(c->fd, c->out.data, c->out.length, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return true;
        drop(c);
        return false;
    }
    memmove(c->out.data, c->out.data + sent, c->out.length - (size_t)sent);
    c->out.length -= (size_t)sent;
    if (c->out.length > 0)
        return true;
    if (c->closing) {
        drop(c);
        return false;
    }
    release(&c->out);
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
    if (ready_clients == push_clients && c->ready && c->pushed <= push_messages) {
        c->pushing = true;
        ring[ring_length++] = c;
    }
    return true;
}

/* ---- pushing ---- */

static void open_the_gate(struct connection *c)
{
    if (mode != PUSH || c->ready)
        return;
    c->ready = true;
    if (++ready_clients < push_clients)
        return;
    int size = (int)push_frame.length * 4;
    if (size < PUSH_SEND_BUFFER)
        size = PUSH_SEND_BUFFER;
    for (size_t fd = 0; fd < max_fds; fd++) {
        c = connections[fd];
        if (c == NULL || !c->ready)
            continue;
        setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        c->pushing = true;
        ring[ring_length++] = c;
    }
}

/* One message to each client that can take one. */
static void push_round(void)
{
    static const char end[] = {(char)0x81, 3, 'e', 'n', 'd'};
    for (size_t i = 0; i < ring_length;) {
        struct connection *c = ring[i];
        bool last = false;
        if (c->out.length == 0) {
            last = c->pushed++ == push_messages;
            bool open = last ? transmit(c, end, sizeof end)
                             : transmit(c, push_frame.data, push_frame.length);
            if (!open)
                continue; /* another one has taken its place in the ring */
        }
        if (last || c->out.length > 0) { /* on_writable() brings it back */
            c->pushing = false;
            ring[i] = ring[--ring_length];
        } else {
            i++;
        }
    }
}

/* ---- frames (RFC 6455 section 5) ---- */

static void frame_header(struct buffer *b, int opcode, size_t length)
{
    uint8_t h[10] = {(uint8_t)(0x80 | opcode)};
    size_t size = 2;
    if (length < 126) {
        h[1] = (uint8_t)length;
    } else if (length < 65536) {
        h[1] = 126, h[2] = (uint8_t)(length >> 8), h[3] = (uint8_t)length;
        size = 4;
    } else {
        h[1] = 127;
        for (int i = 0; i < 8; i++)
            h[2 + i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
        size = 10;
    }
    append(b, h, size);
}

static void unmask(char *payload, size_t length, const char key[4])
{
    uint32_t key32;
    memcpy(&key32, key, 4);
    uint64_t key64 = (uint64_t)key32 << 32 | key32;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, payload + i, 8);
        word ^= key64;
        memcpy(payload + i, &word, 8);
    }
    for (; i < length; i++)
        payload[i] ^= key[i % 4];
}

static void fail(struct connection *c, int code)
{
    char payload[2] = {(char)(code >> 8), (char)code};
    frame_header(&reply, OP_CLOSE, 2);
    append(&reply, payload, 2);
    c->closing = true;
}

static void on_frame(struct connection *c, uint8_t first, char *payload, size_t length)
{
    int opcode = first & 15;
    switch (opcode) {
    case OP_TEXT:
    case OP_BINARY:
    case OP_CONT:
        if (mode == ECHO) {
            frame_header(&reply, opcode, length);
            reply.data[reply.length - (length < 126 ? 2 : length < 65536 ? 4 : 10)] = (char)first;
            append(&reply, payload, length);
        }
        open_the_gate(c);
        break;
    case OP_PING:
        frame_header(&reply, OP_PONG, length);
        append(&reply, payload, length);
        break;
    case OP_PONG:
        break;
    case OP_CLOSE:
        frame_header(&reply, OP_CLOSE, length);
        append(&reply, payload, length);
        c->closing = true;
        break;
    default:
        fail(c, 1002);
    }
}

/* Handles the frames in data[0..length); returns how many bytes it used. `need` is set to the
 * size of the unfinished frame at the end, as far as it is known. */
static size_t on_frames(struct connection *c, char *data, size_t length, size_t *need)
{
    size_t used = 0;
    *need = 0;
    while (!c->closing && length - used >= 2) {
        uint8_t *h = (uint8_t *)data + used;
        if (h[0] & 0x70 || !(h[1] & 0x80)) { /* a reserved bit, or no mask: section 5.1 */
            fail(c, 1002);
            break;
        }
        uint64_t size = h[1] & 127;
        size_t header = size == 126 ? 8 : size == 127 ? 14 : 6;
        if (length - used < header)
            break;
        if (size >= 126) {
            size = 0;
            for (size_t i = 2; i < header - 4; i++)
                size = size << 8 | h[i];
        }
        if (size > SIZE_MAX / 2) {
            fail(c, 1009);
            break;
        }
        if (length - used - header < size) {
            *need = header + size;
            break;
        }
        char *payload = data + used + header;
        unmask(payload, size, payload - 4);
        on_frame(c, h[0], payload, size);
        used += header + size;
    }
    return used;
}

/* ---- the opening handshake (RFC 6455 section 4.2) ---- */

static const char *header_value(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    }
    return NULL;
}

/* Answers the request at the start of data; returns the bytes it used, 0 if it is unfinished. */
static size_t on_request(struct connection *c, char *data, size_t length)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char *end = memmem(data, length, "\r\n\r\n", 4);
    if (end == NULL) {
        if (length > MAX_HEAD)
            c->closing = true;
        return 0;
    }
    end[2] = 0; /* a C string, whose last line is complete */
    const char *key = header_value(data, "Sec-WebSocket-Key");
    size_t key_length = key == NULL ? 0 : strcspn(key, " \t\r");
    if (key_length != 24) {
        static const char refusal[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
                                      "Connection: close\r\n\r\n";
        append(&reply, refusal, sizeof refusal - 1);
        c->closing = true;
        return length;
    }
    uint8_t input[24 + sizeof guid - 1], digest[20];
    memcpy(input, key, 24);
    memcpy(input + 24, guid, sizeof guid - 1);
    sha1_short(input, sizeof input, digest);
    char accept[29], response[256];
    base64_digest(digest, accept);
    int size = snprintf(response, sizeof response,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    append(&reply, response, (size_t)size);
    c->upgraded = true;
    return (size_t)(end + 4 - data);
}

/* ---- the loop ---- */

static void on_readable(struct connection *c)
{
    struct buffer *b = c->in.length > 0 ? &c->in : &work;
    if (b->capacity - b->length < READ_SIZE / 2)
        reserve(b, b->length + READ_SIZE);
    ssize_t got = recv(c->fd, b->data + b->length, b->capacity - b->length, 0);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            drop(c);
        return;
    }
    b->length += (size_t)got;

    reply.length = 0;
    size_t used = 0, need = 0;
    if (!c->upgraded)
        used = on_request(c, b->data, b->length);
    if (c->upgraded)
        used += on_frames(c, b->data + used, b->length - used, &need);

    size_t left = b->length - used;
    if (b == &work) {
        if (left > 0)
            append(&c->in, work.data + used, left);
        work.length = 0;
    } else if (left > 0) {
        memmove(b->data, b->data + used, left);
        b->length = left;
    } else {
        release(b);
    }
    if (left > 0 && need > 0)
        reserve(&c->in, need);

    if (reply.length > 0) {
        if (c->out.length == 0)
            transmit(c, reply.data, reply.length);
        else
            append(&c->out, reply.data, reply.length);
    } else if (c->closing) {
        drop(c);
    }
}

static void on_accept(void)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return; /* none left; or out of descriptors: those in the backlog wait */
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *c = calloc(1, sizeof *c);
        if (c == NULL)
            die("calloc");
        c->fd = fd;
        connections[fd] = c;
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void on_stdin(void)
{
    char ignored[256];
    if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0)
        exit(0);
}

static void on_sigterm(int number)
{
    (void)number;
    _exit(0);
}

static uint32_t number(const char *text, const char *name)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *end != 0 || end == text || value > UINT32_MAX) {
        fprintf(stderr, "server: %s is not a number: %s\n", name, text);
        exit(2);
    }
    return (uint32_t)value;
}

static void read_command_line(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "echo") == 0) {
        mode = ECHO;
    } else if (argc == 2 && strcmp(argv[1], "idle") == 0) {
        mode = IDLE;
    } else if (argc == 5 && strcmp(argv[1], "push") == 0) {
        mode = PUSH;
        push_clients = number(argv[2], "CLIENTS");
        push_messages = number(argv[3], "MESSAGES");
        uint32_t size = number(argv[4], "SIZE");
        frame_header(&push_frame, OP_TEXT, size);
        for (uint32_t i = 0; i < size; i++) {
            char letter = (char)('a' + i % 26);
            append(&push_frame, &letter, 1);
        }
    } else {
        fprintf(stderr, "usage: server echo | push CLIENTS MESSAGES SIZE | idle\n");
        exit(2);
    }
}

static void start(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("setrlimit");
    max_fds = limit.rlim_cur < 1 << 20 ? limit.rlim_cur : 1 << 20;
    connections = calloc(max_fds, sizeof *connections);
    ring = calloc(max_fds, sizeof *ring);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connections == NULL || ring == NULL || epoll_fd < 0 || listener < 0)
        die("start");

    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, BACKLOG) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        die("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
        die("epoll_ctl");
    event.data.fd = STDIN_FILENO; /* refused for a file or /dev/null: then only SIGTERM ends it */
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0 && errno != EPERM)
        die("epoll_ctl");

    signal(SIGTERM, on_sigterm);
    printf("PORT %d\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    read_command_line(argc, argv);
    start();
    static struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int count = epoll_wait(epoll_fd, events, MAX_EVENTS, ring_length > 0 ? 0 : -1);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                on_accept();
            else if (fd == STDIN_FILENO)
                on_stdin();
            else if (connections[fd] != NULL &&
                     (!(events[i].events & EPOLLOUT) || on_writable(connections[fd])) &&
                     events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                on_readable(connections[fd]);
        }
        push_round();
    }
}

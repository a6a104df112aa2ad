/*
 * The peer of the lock-step benchmark: a load server that runs in the thread of the client that is
 * measured. So every client finds the same batches ready, and no second process shares the cache
 * and the kernel with it; what the peer itself takes is measured and can be taken off.
 *
 *     port = peer_start(n, file, deflate)
 *                                     listens; a thread accepts n connections and answers their
 *                                     handshakes; peer_wait() waits until it has. With TLS if there
 *                                     is a file: the certificate is written there. With
 *                                     permessage-deflate if `deflate` is not 0
 *     peer_step(ready, per, size)     reads what the clients have sent, and sends `per` texts of
 *                                     `size` bytes, in one write, to the next `ready` connections;
 *                                     with TLS each is a record, as servers send them; with
 *                                     permessage-deflate, each connection gets the message back
 *                                     that it has sent, as it is: its own stream is one that it can
 *                                     inflate
 *     peer_spent(), peer_clock()      CPU time in nanoseconds: of all steps; of this thread
 *
 * Linux only.  cc -O2 -shared -fPIC -o peer.so peer.c -lpthread -lssl -lcrypto  (or -DNO_TLS)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../buffer.h"
#include "../frames.h"
#include "../handshake.h"
#include "../tls.h"

/* What callgrind counts begins with the first step, and leaves out the steps. */
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_TOGGLE_COLLECT
#endif

enum { MAX_EVENTS = 512, STRIDE = 7 };

static int listener, epoll_fd, connection_count, next_ready;
static int *descriptors;
static TLS **streams; /* NULL without TLS */
static struct buffer *mirrors; /* what each connection has sent; NULL without deflate */
static pthread_t acceptor;
static int64_t spent;
static struct buffer burst; /* what one connection gets in a step */
static int burst_messages, burst_size;

int64_t peer_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t peer_spent(void)
{
    return spent;
}

static void answer_handshake(int fd, TLS *tls)
{
    char request[8192], key[29], response[512];
    size_t length = 0;
    do {
        ssize_t got = stream_receive(fd, tls, request + length, sizeof request - 1 - length);
        if (got <= 0)
            die("recv of a handshake");
        length += (size_t)got;
        request[length] = '\0';
    } while (strstr(request, "\r\n\r\n") == NULL);
    accept_key(header_value(request, "Sec-WebSocket-Key"), key);
    int size = snprintf(response, sizeof response,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                        key,
                        mirrors == NULL ? "" : "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    if (stream_send(fd, tls, response, (size_t)size) != size)
        die("send of a handshake");
}

static void *accept_all(void *unused)
{
    (void)unused;
    for (int i = 0; i < connection_count; i++) {
        int on = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            die("accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        descriptors[i] = fd;
        if (streams != NULL)
            streams[i] = tls_new(fd);
        answer_handshake(fd, streams == NULL ? NULL : streams[i]);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
    return NULL;
}

int peer_start(int count, const char *certificate, int deflate)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    connection_count = count;
    descriptors = calloc((size_t)count, sizeof *descriptors);
    if (certificate != NULL) {
        tls_start(certificate, true, false);
        streams = calloc((size_t)count, sizeof *streams);
    }
    if (deflate)
        mirrors = calloc((size_t)count, sizeof *mirrors);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (void *)&address, size) < 0 || listen(listener, 4096) < 0 ||
        getsockname(listener, (void *)&address, &size) < 0)
        die("listen");
    if (pthread_create(&acceptor, NULL, accept_all, NULL) != 0)
        die("pthread_create");
    return ntohs(address.sin_port);
}

void peer_wait(void)
{
    pthread_join(acceptor, NULL);
}

/* Makes what a client has sent, one masked frame, into one that the peer may send. */
static void unmask(struct buffer *frame)
{
    char *data = frame->data;
    size_t size = frame->length < 2 ? 0 : (uint8_t)data[1] & 127, start = size == 126 ? 4 : 2;
    if (size == 126)
        size = (size_t)(uint8_t)data[2] << 8 | (uint8_t)data[3];
    if ((uint8_t)data[0] != (FIN | RSV1 | OP_TEXT) || frame->length != start + 4 + size)
        die("what came is not one short compressed text");
    apply_mask(data + start, data + start + 4, size, (char[4]){data[start], data[start + 1],
                                                                data[start + 2], data[start + 3]});
    data[1] &= 127;
    frame->length -= 4;
}

/* Empties all sockets: what the clients have sent is not looked at, nor deciphered; with deflate
 * it is kept. */
static void drain(void)
{
    static char sink[1 << 20];
    struct epoll_event events[MAX_EVENTS];
    int count;
    do {
        count = epoll_wait(epoll_fd, events, MAX_EVENTS, 0);
        for (int i = 0; i < count; i++) {
            int of = (int)events[i].data.u32;
            ssize_t got = recv(descriptors[of], sink, sizeof sink, 0);
            if (mirrors != NULL && got > 0) {
                mirrors[of].length = 0;
                append(mirrors + of, sink, (size_t)got);
                unmask(mirrors + of);
            }
            while (got == (ssize_t)sizeof sink)
                got = recv(descriptors[of], sink, sizeof sink, 0);
        }
    } while (count == MAX_EVENTS);
}

static void prepare(int messages, int size)
{
    if (burst_messages == messages && burst_size == size)
        return;
    burst.length = 0;
    for (int i = 0; i < messages; i++) {
        uint8_t header[MAX_HEADER];
        size_t length = frame_header(header, FIN | OP_TEXT, 0, (uint64_t)size);
        append(&burst, header, length);
        for (int j = 0; j < size; j++)
            append(&burst, &(char){(char)('a' + j % 26)}, 1);
    }
    burst_messages = messages, burst_size = size;
}

void peer_step(int ready, int messages, int size)
{
    static bool counting = false;
    if (!counting)
        CALLGRIND_START_INSTRUMENTATION;
    counting = true;
    CALLGRIND_TOGGLE_COLLECT;
    int64_t begun = peer_clock();
    drain();
    prepare(messages, size);
    for (int i = 0; i < ready; i++) {
        int of = ready == connection_count ? i : next_ready;
        int fd = descriptors[of];
        next_ready = (next_ready + STRIDE) % connection_count; /* not neighbours in the kernel */
        TLS *tls = streams == NULL ? NULL : streams[of];
        struct buffer *sending = mirrors == NULL ? &burst : mirrors + of;
        size_t piece = tls == NULL ? sending->length : sending->length / (size_t)messages;
        for (size_t sent = 0; sent < sending->length; sent += piece)
            if (stream_send(fd, tls, sending->data + sent, piece) != (ssize_t)piece)
                die("send of a burst");
    }
    spent += peer_clock() - begun;
    CALLGRIND_TOGGLE_COLLECT;
}

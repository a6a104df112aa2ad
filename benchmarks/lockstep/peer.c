/*
 * The peer of the lock-step benchmark: a load server that runs in the thread of the client that is
 * measured. So every client finds the same batches ready, and no second process shares the cache
 * and the kernel with it; what the peer itself takes is measured and can be taken off.
 *
 *     port = peer_start(n, file)      listens; a thread accepts n connections and answers their
 *                                     handshakes; peer_wait() waits until it has. With TLS if there
 *                                     is a file: the certificate is written there
 *     peer_step(ready, per, size)     reads what the clients have sent, and sends `per` texts of
 *                                     `size` bytes, in one write, to the next `ready` connections;
 *                                     with TLS each is a record, as servers send them
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
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../buffer.h"
#include "../frames.h"
#include "../handshake.h"
#include "../tls.h"

enum { MAX_EVENTS = 512, STRIDE = 7 };

static int listener, epoll_fd, connection_count, next_ready;
static int *descriptors;
static TLS **streams; /* NULL without TLS */
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
    char request[8192], key[29], response[256];
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
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                        key);
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
        if (streams != NULL)
            streams[i] = tls_new(fd);
        answer_handshake(fd, streams == NULL ? NULL : streams[i]);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
        descriptors[i] = fd;
    }
    return NULL;
}

int peer_start(int count, const char *certificate)
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

/* Empties all sockets: what the clients have sent is not looked at, nor deciphered. */
static void drain(void)
{
    static char sink[1 << 20];
    struct epoll_event events[MAX_EVENTS];
    int count;
    do {
        count = epoll_wait(epoll_fd, events, MAX_EVENTS, 0);
        for (int i = 0; i < count; i++)
            while (recv(events[i].data.fd, sink, sizeof sink, 0) == (ssize_t)sizeof sink)
                ;
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
    int64_t begun = peer_clock();
    drain();
    prepare(messages, size);
    for (int i = 0; i < ready; i++) {
        int of = ready == connection_count ? i : next_ready;
        int fd = descriptors[of];
        next_ready = (next_ready + STRIDE) % connection_count; /* not neighbours in the kernel */
        TLS *tls = streams == NULL ? NULL : streams[of];
        size_t piece = tls == NULL ? burst.length : burst.length / (size_t)messages;
        for (size_t sent = 0; sent < burst.length; sent += piece)
            if (stream_send(fd, tls, burst.data + sent, piece) != (ssize_t)piece)
                die("send of a burst");
    }
    spent += peer_clock() - begun;
}

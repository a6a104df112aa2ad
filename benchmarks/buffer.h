/* A growing byte buffer; and how the programs of the benchmarks give up. */
#ifndef BUFFER_H
#define BUFFER_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

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
    if (length == 0)
        return;
    reserve(b, b->length + length);
    memcpy(b->data + b->length, data, length);
    b->length += length;
}

static inline void release(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}
#endif

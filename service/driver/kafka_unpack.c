#include "driver/kafka_unpack.h"

#include <dlfcn.h>
#include <stdio.h>

#include "driver/log.h"

/* Of the thread at hand; NULL: unpack what you like. */
static _Thread_local struct kafka_unpack *limit;

static bool has_room(size_t bytes)
{
    size_t waiting = atomic_load_explicit(&limit->waiting, memory_order_relaxed);
    if (bytes > limit->batch_max) return false;
    if (waiting == 0 || bytes + waiting <= limit->batch_max) return true;
    atomic_fetch_add(&limit->turned_away, 1);
    return false;
}

static void has_unpacked(size_t bytes)
{
    atomic_fetch_add_explicit(&limit->waiting, bytes, memory_order_relaxed);
}

/* ---- in place of the libraries' functions ---- */

/* How zlib's z_stream begins, in every version 1. */
struct z_stream_start {
    const uint8_t *next_in;
    unsigned avail_in;
    unsigned long total_in;
    uint8_t *next_out;
    unsigned avail_out;
    unsigned long total_out;
};

enum { Z_STREAM_END = 1, Z_DATA_ERROR = -3, ZSTD_DST_SIZE_TOO_SMALL = 70 };

static const size_t lz4_error = (size_t)-1; /* LZ4F_ERROR_GENERIC */

static struct {
    int (*inflate)(struct z_stream_start *stream, int flush);
    size_t (*lz4_start)(void **ret_context, unsigned version);
    size_t (*lz4)(void *context, void *to, size_t *to_len, const void *from, size_t *from_len, const void *options);
    size_t (*zstd)(void *to, size_t to_size, const void *from, size_t from_len);
    int (*zstd_error)(size_t code);
} libraries;

int inflate(struct z_stream_start *stream, int flush);
size_t LZ4F_createDecompressionContext(void **ret_context, unsigned version);
size_t LZ4F_decompress(void *context, void *to, size_t *to_len, const void *from, size_t *from_len, const void *options);
size_t ZSTD_decompress(void *to, size_t to_size, const void *from, size_t from_len);

/* Before any thread can unpack. A library that is not there is not called. */
static void __attribute__((constructor)) find_libraries(void)
{
    *(void **)&libraries.inflate = dlsym(RTLD_NEXT, "inflate");
    *(void **)&libraries.lz4_start = dlsym(RTLD_NEXT, "LZ4F_createDecompressionContext");
    *(void **)&libraries.lz4 = dlsym(RTLD_NEXT, "LZ4F_decompress");
    *(void **)&libraries.zstd = dlsym(RTLD_NEXT, "ZSTD_decompress");
    *(void **)&libraries.zstd_error = dlsym(RTLD_NEXT, "ZSTD_getErrorCode");
}

/* librdkafka unpacks gzip twice: to count the bytes, in pieces that it throws away, and then into a buffer of that size. */
int inflate(struct z_stream_start *stream, int flush)
{
    static _Thread_local size_t counted;
    int result = libraries.inflate(stream, flush);
    if (limit == NULL) return result;
    bool is_second = counted > 0 && stream->total_out <= counted;
    if (!is_second && !has_room(stream->total_out)) return Z_DATA_ERROR;
    if (result != Z_STREAM_END) return result;
    if (!is_second) has_unpacked(stream->total_out);
    counted = is_second ? 0 : stream->total_out;
    return result;
}

static _Thread_local size_t lz4_unpacked; /* of the batch at hand */

size_t LZ4F_createDecompressionContext(void **ret_context, unsigned version)
{
    lz4_unpacked = 0;
    return libraries.lz4_start(ret_context, version);
}

size_t LZ4F_decompress(void *context, void *to, size_t *to_len, const void *from, size_t *from_len, const void *options)
{
    size_t result = libraries.lz4(context, to, to_len, from, from_len, options);
    if (limit == NULL) return result;
    lz4_unpacked += *to_len;
    if (!has_room(lz4_unpacked)) return lz4_error;
    if (result == 0) has_unpacked(lz4_unpacked);
    return result;
}

/* librdkafka guesses the size where the batch does not have it, and retries with three times as much. */
size_t ZSTD_decompress(void *to, size_t to_size, const void *from, size_t from_len)
{
    if (limit == NULL) return libraries.zstd(to, to_size, from, from_len);
    size_t waiting = atomic_load_explicit(&limit->waiting, memory_order_relaxed);
    size_t room = waiting < limit->batch_max ? limit->batch_max - waiting : 0;
    size_t result = libraries.zstd(to, to_size < room ? to_size : room, from, from_len);
    int error = libraries.zstd_error(result);
    if (error == 0) has_unpacked(result);
    if (error == ZSTD_DST_SIZE_TOO_SMALL && waiting > 0 && to_size > room) atomic_fetch_add(&limit->turned_away, 1);
    return result;
}

/* ---- the consumer's threads ---- */

static rd_kafka_resp_err_t on_thread_start(rd_kafka_t *client, rd_kafka_thread_type_t type, const char *name, void *unpack)
{
    (void)client;
    (void)name;
    if (type == RD_KAFKA_THREAD_BROKER) limit = unpack;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *client, const rd_kafka_conf_t *conf, void *unpack, char *error,
                                  size_t error_size)
{
    (void)conf;
    (void)error;
    (void)error_size;
    return rd_kafka_interceptor_add_on_thread_start(client, "unpack", on_thread_start, unpack);
}

bool kafka_unpack_limit(rd_kafka_conf_t *conf, struct kafka_unpack *unpack, size_t batch_max)
{
    /* Of snappy an answer becomes 21 times as much. It is larger where its first batch is. */
    static const char answer_max[] = "1048576";
    enum { REQUEST_MAX = 100 << 20 };
    char receive_max[24];
    char error[256] = "an interceptor";
    *unpack = (struct kafka_unpack){.batch_max = batch_max};
    /* The broker's default of socket.request.max.bytes, so that none that it took of a sender breaks the connection; and a buffer that is
     * tripled until a batch fits is at most so large. */
    unpack->packed_max = 3 * batch_max > REQUEST_MAX ? 3 * batch_max : REQUEST_MAX;
    snprintf(receive_max, sizeof(receive_max), "%zu", unpack->packed_max + KAFKA_UNPACK_LEAST);
    bool ok = rd_kafka_conf_set(conf, "receive.message.max.bytes", receive_max, error, sizeof(error)) == RD_KAFKA_CONF_OK &&
              rd_kafka_conf_set(conf, "fetch.max.bytes", answer_max, error, sizeof(error)) == RD_KAFKA_CONF_OK &&
              rd_kafka_conf_interceptor_add_on_new(conf, "unpack", on_new, unpack) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!ok) LOG_ERROR("the unpacked size of batches cannot be limited", LOG_STR("reason", error));
    return ok;
}

void kafka_unpack_drained(struct kafka_unpack *unpack)
{
    size_t waiting = atomic_fetch_sub_explicit(&unpack->waiting, unpack->waited, memory_order_relaxed);
    unpack->waited = waiting - unpack->waited;
}

bool kafka_is_unreadable(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__BAD_COMPRESSION || error == RD_KAFKA_RESP_ERR__BAD_MSG ||
           error == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED || error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
}

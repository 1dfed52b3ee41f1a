/*
 * The cost of calls of the library, as one line of JSON: medians of many rounds, in nanoseconds of
 * wall time for a call, or microseconds for a batch.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <teatime.h>

enum { ROUNDS = 41, CALLS = 100000, PUBLISHED = 50, PULLED = 1000 };

static void must(tea_status status) {
    tea_str why;
    if (status == TEA_STATUS_OK) return;
    why = tea_last_error();
    fprintf(stderr, "bench: %.*s\n", TEA_PRINT(why));
    exit(1);
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

static int compare(const void *one, const void *other) {
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

static double median(double *rounds) {
    qsort(rounds, ROUNDS, sizeof *rounds, compare);
    return rounds[ROUNDS / 2];
}

static tea_session *session;

static void step(void) {
    tea_event events[64];
    size_t count;
    must(tea_session_wait(session, 10000));
    must(tea_session_step(session, 100000));
    must(tea_session_poll(session, TEA_FORMAT_MSGPACK, events, 64, &count));
}

/* One call polls a whole batch of waiting events. */
static double pull(tea_format format, tea_payload data) {
    static tea_event events[PULLED];
    static double rounds[ROUNDS];
    size_t count, round, at;
    for (round = 0; round < ROUNDS; round++) {
        double start;
        for (at = 0; at < PULLED; at++)
            must(tea_session_publish_to_views(session, TEA_STR("scope"), TEA_STR("event"), data));
        start = now_ns();
        must(tea_session_poll(session, format, events, PULLED, &count));
        rounds[round] = (now_ns() - start) / 1000;
        if (count != PULLED) exit(1);
    }
    return median(rounds);
}

int main(void) {
    static double rounds[ROUNDS];
    double noop, call, publish, msgpack, json;
    tea_reflector *reflector;
    tea_app *app;
    tea_config *config;
    tea_str url;
    tea_value *value;
    tea_payload data;
    uint64_t subscription, time_us, receipt = 0, sum = 0;
    tea_connection connection;
    bool applied;
    int round, at;
    must(tea_reflector_start(TEA_STR("127.0.0.1:0"), &reflector));
    must(tea_reflector_url(reflector, &url));
    must(tea_app_new(TEA_STR(TEA_CHAT_APP), 1, &app));
    must(tea_app_add_chat(app));
    must(tea_config_new(app, TEA_STR("bench"), tea_json("{}"), &config));
    must(tea_session_join(config, url, &session));
    do {
        step();
        must(tea_session_connection(session, &connection));
    } while (connection != TEA_CONNECTION_LIVE);
    for (round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (at = 0; at < CALLS; at++) sum += tea_abi_version();
        rounds[round] = (now_ns() - start) / CALLS;
    }
    noop = median(rounds);
    for (round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (at = 0; at < CALLS; at++) {
            must(tea_session_now(session, &time_us));
            sum += time_us;
        }
        rounds[round] = (now_ns() - start) / CALLS;
    }
    call = median(rounds);
    must(tea_value_new(&value));
    must(tea_value_put_map(value, 1));
    must(tea_value_put_str(value, TEA_STR("number")));
    must(tea_value_put_u64(value, 12345));
    must(tea_value_payload(value, &data));
    for (round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (at = 0; at < PUBLISHED; at++)
            must(tea_session_publish(session, TEA_STR("scope"), TEA_STR("event"), data, &receipt));
        rounds[round] = (now_ns() - start) / PUBLISHED;
        do {
            step();
            must(tea_session_is_applied(session, receipt, &applied));
        } while (!applied);
    }
    publish = median(rounds);
    must(tea_session_subscribe(session, TEA_STR("scope"), TEA_STR("event"), TEA_HANDLING_QUEUED, &subscription));
    step();
    msgpack = pull(TEA_FORMAT_MSGPACK, data);
    json = pull(TEA_FORMAT_JSON, data);
    must(tea_value_free(value));
    must(tea_session_free(session));
    must(tea_config_free(config));
    must(tea_app_free(app));
    must(tea_reflector_free(reflector));
    printf("{\"noop_ns\":%.1f,\"session_now_ns\":%.1f,\"publish_ns\":%.0f,"
           "\"pull_1000_msgpack_us\":%.1f,\"pull_1000_json_us\":%.1f}\n",
           noop, call, publish, msgpack, json);
    return sum == 0;
}

/*
 * An app in C of which there is a twin in Rust, ffi/tests/all/twin.rs: both write down what they hear and draw. It plays a
 * session and prints what its models have written; the test compares that with the twin's. No line of the two is shared.
 */
#include "support.h"

enum { ROOM = 8192 };
struct desk {
    uint64_t clerk;
    char trace[ROOM];
};
struct clerk {
    uint64_t calls;
    char trace[ROOM];
};
enum { ONE_JOINED, ONE_LEFT, ALL_JOINED, ALL_LEFT, WORK, LATER };
enum { DOUBLE, ECHO };

/* The last states that were loaded. */
static struct desk seen_desk;
static struct clerk seen_clerk;

#define WRITE(model, ...) snprintf((model)->trace + strlen((model)->trace), ROOM - strlen((model)->trace), __VA_ARGS__)

static uint64_t now(tea_cx *cx) {
    uint64_t time = 0;
    assert_ok(tea_cx_now(cx, &time));
    return time;
}

static unsigned first_byte(tea_payload id) {
    const uint8_t *bytes;
    size_t count;
    assert_ok(tea_payload_bytes(id, &bytes, &count));
    assert_int_equal(count, 16);
    return bytes[0];
}

/* The first bytes of the ids of all participants. */
static void write_there(struct desk *desk, tea_cx *cx) {
    tea_view_id views[8];
    size_t count, at;
    assert_ok(tea_cx_views(cx, views, 8, &count));
    WRITE(desk, " of");
    for (at = 0; at < count; at++) WRITE(desk, " %u", (unsigned)views[at].bytes[0]);
    WRITE(desk, "\n");
}

/* A batch: an array of ids, or of arrays of id and view data. */
static void write_batch(struct desk *desk, tea_cx *cx, const char *what, tea_payload all, const char *path) {
    tea_payload id;
    size_t count, at;
    char place[16];
    assert_ok(tea_payload_count(all, &count));
    WRITE(desk, "%s", what);
    for (at = 0; at < count; at++) {
        snprintf(place, sizeof place, path, (unsigned)at);
        assert_ok(tea_payload_get(all, tea_text(place), &id));
        WRITE(desk, " %u", first_byte(id));
    }
    write_there(desk, cx);
}

static void write_topic(struct desk *desk, tea_cx *cx, const char *what) {
    tea_str scope, event;
    tea_session_id session;
    tea_view_id sender;
    uint64_t from;
    char own[65];
    int at;
    if (tea_cx_topic(cx, &scope, &event, &from) != TEA_STATUS_OK) {
        WRITE(desk, "%s hears no event at %llu\n", what, (unsigned long long)now(cx));
        return;
    }
    assert_ok(tea_cx_session_id(cx, &session));
    for (at = 0; at < 32; at++) sprintf(own + 2 * at, "%02x", session.bytes[at]);
    if (scope.len == 64 && !memcmp(scope.ptr, own, 64)) scope = TEA_STR("the session");
    WRITE(desk, "%s hears %.*s/%.*s from model %llu", what, TEA_PRINT(scope), TEA_PRINT(event), (unsigned long long)from);
    if (tea_cx_sender(cx, &sender) == TEA_STATUS_OK) WRITE(desk, " by %u", (unsigned)sender.bytes[0]);
    WRITE(desk, " at %llu\n", (unsigned long long)now(cx));
}

static void *desk_init(tea_cx *cx, tea_payload options, void *user_data) {
    struct desk *desk = calloc(1, sizeof *desk);
    (void)options, (void)user_data;
    assert_ok(tea_cx_subscribe_presence(cx, ONE_JOINED, ONE_LEFT));
    assert_ok(tea_cx_subscribe_presence(cx, ALL_JOINED, ALL_LEFT));
    assert_ok(tea_cx_subscribe(cx, TEA_STR("desk"), TEA_STR("*"), WORK));
    assert_ok(tea_cx_create(cx, TEA_STR("clerk"), tea_nil(), &desk->clerk));
    write_topic(desk, cx, "init");
    return desk;
}

static void publish_number(tea_cx *cx, const char *event, uint64_t number) {
    tea_value *value;
    assert_ok(tea_value_new(&value));
    assert_ok(tea_value_put_u64(value, number));
    assert_ok(tea_cx_publish(cx, TEA_STR("clerk"), tea_text(event), data_of(value)));
    assert_ok(tea_value_free(value));
}

static void ask(struct desk *desk, tea_cx *cx, uint64_t model, const char *handler, tea_payload argument) {
    tea_value *answer;
    uint64_t number = 0;
    tea_status status = tea_cx_call(cx, model, tea_text(handler), argument, TEA_FORMAT_MSGPACK, &answer);
    if (status == TEA_STATUS_UNKNOWN_MODEL) WRITE(desk, "%s: no such model\n", handler);
    else if (status == TEA_STATUS_UNKNOWN_HANDLER) WRITE(desk, "%s: no such handler\n", handler);
    else if (status == TEA_STATUS_MODEL_RUNNING) WRITE(desk, "%s: it runs\n", handler);
    else {
        assert_ok(status);
        assert_ok(tea_payload_u64(data_of(answer), &number));
        WRITE(desk, "%s: %llu\n", handler, (unsigned long long)number);
        assert_ok(tea_value_free(answer));
    }
}

static void work(struct desk *desk, tea_cx *cx, tea_payload argument) {
    uint64_t number, below, future;
    int64_t drawn;
    double fraction;
    int at;
    write_topic(desk, cx, "work");
    assert_ok(tea_payload_u64(argument, &number));
    ask(desk, cx, desk->clerk, "double", argument);
    ask(desk, cx, 99, "double", argument);
    ask(desk, cx, desk->clerk, "treble", argument);
    ask(desk, cx, TEA_ROOT_MODEL, "work", argument);
    for (at = 0; at < 5; at++) {
        assert_ok(tea_cx_random_range(cx, -(int64_t)number, (int64_t)number, &drawn));
        assert_ok(tea_cx_random_below(cx, number, &below));
        WRITE(desk, "drawn %lld %llu\n", (long long)drawn, (unsigned long long)below);
    }
    assert_ok(tea_cx_random(cx, &fraction));
    WRITE(desk, "fraction %llu\n", (unsigned long long)(fraction * 9007199254740992.0)); /* 2^53, so it is exact */
    assert_ok(tea_cx_future(cx, 5000, 0, LATER, argument, &future));
    publish_number(cx, "echo", number + 1);
    write_topic(desk, cx, "work still");
}

static int32_t desk_handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    struct desk *desk = model;
    uint64_t number;
    switch (handler) {
    case ONE_JOINED:
    case ONE_LEFT:
        write_topic(desk, cx, handler == ONE_JOINED ? "joined" : "left");
        WRITE(desk, "%u", first_byte(argument));
        write_there(desk, cx);
        return 0;
    case ALL_JOINED: write_batch(desk, cx, "all joined", argument, "/%u"); return 0;
    case ALL_LEFT: write_batch(desk, cx, "all left", argument, "/%u/0"); return 0;
    case WORK: work(desk, cx, argument); return 0;
    default:
        write_topic(desk, cx, "later");
        assert_ok(tea_payload_u64(argument, &number));
        publish_number(cx, "late", number);
        return 0;
    }
}

static int32_t clerk_handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    struct clerk *clerk = model;
    tea_str scope, event;
    tea_value *answer;
    uint64_t number, more;
    assert_ok(tea_payload_u64(argument, &number));
    assert_ok(tea_cx_topic(cx, &scope, &event, &more));
    WRITE(clerk, "%.*s/%.*s from model %llu: %llu\n", TEA_PRINT(scope), TEA_PRINT(event), (unsigned long long)more,
          (unsigned long long)number);
    if (handler == ECHO) return 0;
    clerk->calls++;
    assert_ok(tea_cx_random_below(cx, 3, &more));
    assert_ok(tea_value_new(&answer));
    assert_ok(tea_value_put_u64(answer, 2 * number + more));
    assert_ok(tea_cx_answer(cx, data_of(answer)));
    assert_ok(tea_value_free(answer));
    return 0;
}

static void *clerk_init(tea_cx *cx, tea_payload options, void *user_data) {
    (void)options, (void)user_data;
    assert_ok(tea_cx_subscribe(cx, TEA_STR("clerk"), TEA_STR("*"), ECHO));
    return calloc(1, sizeof(struct clerk));
}

static int32_t save(tea_value *state, uint64_t number, const char *trace) {
    tea_value_put_array(state, 2);
    tea_value_put_u64(state, number);
    return tea_value_put_str(state, tea_text(trace));
}

static int32_t desk_save(const void *model, tea_value *state) {
    const struct desk *desk = model;
    return save(state, desk->clerk, desk->trace);
}

static int32_t clerk_save(const void *model, tea_value *state) {
    const struct clerk *clerk = model;
    return save(state, clerk->calls, clerk->trace);
}

static void load(tea_payload state, uint64_t *number, char *trace) {
    tea_payload part;
    tea_str text;
    assert_ok(tea_payload_get(state, TEA_STR("/0"), &part));
    assert_ok(tea_payload_u64(part, number));
    assert_ok(tea_payload_get(state, TEA_STR("/1"), &part));
    assert_ok(tea_payload_str(part, &text));
    memcpy(trace, text.ptr, text.len);
}

static void *desk_load(tea_payload state, void *user_data) {
    struct desk *desk = calloc(1, sizeof *desk);
    (void)user_data;
    load(state, &desk->clerk, desk->trace);
    seen_desk = *desk;
    return desk;
}

static void *clerk_load(tea_payload state, void *user_data) {
    struct clerk *clerk = calloc(1, sizeof *clerk);
    (void)user_data;
    load(state, &clerk->calls, clerk->trace);
    seen_clerk = *clerk;
    return clerk;
}

static tea_app *twin_app(void) {
    static const tea_str desks[] = {{"joined", 6}, {"left", 4}, {"alljoined", 9}, {"allleft", 7}, {"work", 4}, {"later", 5}};
    static const tea_str clerks[] = {{"double", 6}, {"echoed", 6}};
    static const int32_t kinds[] = {TEA_HANDLER_KIND_VIEW_ID, TEA_HANDLER_KIND_VIEW_ID, TEA_HANDLER_KIND_VIEW_IDS,
                                    TEA_HANDLER_KIND_VIEWS,   TEA_HANDLER_KIND_VIEW,    TEA_HANDLER_KIND_VIEW};
    tea_model desk, clerk;
    tea_app *app;
    memset(&desk, 0, sizeof desk);
    desk.size = sizeof desk;
    desk.id = TEA_STR("desk");
    desk.handlers = desks;
    desk.handler_count = 6;
    desk.handler_kinds = kinds;
    desk.init = desk_init;
    desk.handle = desk_handle;
    desk.save = desk_save;
    desk.load = desk_load;
    desk.free = free;
    clerk = desk;
    clerk.id = TEA_STR("clerk");
    clerk.handlers = clerks;
    clerk.handler_count = 2;
    clerk.handler_kinds = NULL;
    clerk.init = clerk_init;
    clerk.handle = clerk_handle;
    clerk.save = clerk_save;
    clerk.load = clerk_load;
    assert_ok(tea_app_new(TEA_STR("test.twin"), 1, &app));
    assert_ok(tea_app_add_model(app, &desk));
    assert_ok(tea_app_add_model(app, &clerk));
    return app;
}

static tea_sync_step step(tea_sync_kind kind, uint8_t view) {
    tea_sync_step made;
    memset(&made, 0, sizeof made);
    made.kind = kind;
    memset(made.view.bytes, view, 16);
    return made;
}

int main(void) {
    static const char *const numbers[] = {"7", "1000", "3"};
    tea_sync_step steps[16];
    size_t count = 0, at;
    tea_app *app = twin_app();
    for (at = 1; at <= 3; at++) steps[count++] = step(TEA_SYNC_KIND_JOIN, (uint8_t)at);
    for (at = 0; at < 3; at++) {
        steps[count] = step(TEA_SYNC_KIND_PUBLISH, (uint8_t)(at + 1));
        steps[count].scope = TEA_STR("desk");
        steps[count].event = at == 1 ? TEA_STR("more work") : TEA_STR("work");
        steps[count++].payload = tea_json(numbers[at]);
        steps[count] = step(TEA_SYNC_KIND_PASS, 0);
        steps[count++].span_us = 3000;
    }
    steps[count++] = step(TEA_SYNC_KIND_EXIT, 2);
    steps[count++] = step(TEA_SYNC_KIND_JOIN, 2);
    steps[count] = step(TEA_SYNC_KIND_PASS, 0);
    steps[count++].span_us = 100000;
    assert_ok(tea_sync_test(app, tea_nil(), 1, steps, count));
    assert_ok(tea_app_free(app));
    printf("%llu\n%s%llu\n%s", (unsigned long long)seen_desk.clerk, seen_desk.trace, (unsigned long long)seen_clerk.calls,
           seen_clerk.trace);
    return 0;
}

/* Shared code of the tests in C. */
#include "support.h"

bool tally_forgets, tally_refuses, tally_errs;
atomic_int objects, overlaps;

/* A model's functions are called one at a time, whatever threads step its session. */
static void enter(const struct tally *tally) {
    if (atomic_exchange(&((struct tally *)tally)->busy, true)) atomic_fetch_add(&overlaps, 1);
}

static void leave(const struct tally *tally) { atomic_store(&((struct tally *)tally)->busy, false); }

static void *make(void) {
    struct tally *tally = calloc(1, sizeof *tally);
    if (tally) objects++;
    return tally;
}

static void *tally_init(tea_cx *cx, tea_payload options, void *user_data) {
    struct tally *tally = make();
    tea_payload echo;
    (void)user_data;
    assert_ok(tea_cx_subscribe(cx, TEA_STR("tally"), TEA_STR("add"), ADD));
    assert_ok(tea_cx_subscribe(cx, TEA_STR("tally"), TEA_STR("break"), BREAK));
    assert_ok(tea_cx_subscribe(cx, TEA_STR("echo"), TEA_STR("*"), ECHOED));
    assert_ok(tea_cx_subscribe_presence(cx, JOINED, LEFT));
    assert_ok(tea_cx_future(cx, 10000, 10000, TICK, tea_nil(), &tally->ticker));
    assert_ok(tea_cx_set_well_known(cx, TEA_STR("tally"), TEA_ROOT_MODEL));
    if (tea_payload_get(options, TEA_STR("/echo"), &echo) == TEA_STATUS_OK) {
        tea_str type;
        assert_ok(tea_payload_str(echo, &type));
        assert_ok(tea_cx_create(cx, type, tea_json("{}"), &tally->child));
        if (type.len == 4 && !memcmp(type.ptr, "chat", 4))
            assert_ok(tea_cx_subscribe(cx, TEA_STR("history"), TEA_STR("refresh"), ECHOED));
    }
    return tally;
}

static int32_t tally_handler(struct tally *tally, tea_cx *cx, uint16_t handler, tea_payload argument) {
    tea_value *post;
    tea_payload id;
    const uint8_t *bytes;
    size_t count;
    uint64_t number = 0;
    tea_str scope, event;
    switch (handler) {
    case ADD:
        if (tea_payload_u64(argument, &number)) return 7;
        tally->sum += number + tally->forgotten + tally_errs;
        tally->forgotten = number;
        assert_ok(tea_cx_random_below(cx, 3, &number));
        tally->sum += number;
        assert_ok(tea_value_new(&post));
        assert_ok(tea_value_put_u64(post, tally->sum));
        assert_ok(tea_cx_publish(cx, TEA_STR("tally"), TEA_STR("changed"), data_of(post)));
        assert_ok(tea_value_free(post));
        assert_ok(tea_cx_publish(cx, TEA_STR("input"), TEA_STR("newPost"), tea_json("{\"text\":\"added\"}")));
        return 0;
    case JOINED:
    case LEFT:
        assert_ok(tea_payload_get(argument, TEA_STR("/0"), &id));
        assert_ok(tea_payload_bytes(id, &bytes, &count));
        assert_int_equal(count, 16);
        tally->views += handler == JOINED ? 1 : (uint64_t)-1;
        return 0;
    case ECHOED:
        /* Subscribed to echo with a wildcard, or to what the chat publishes. */
        assert_ok(tea_cx_topic(cx, &scope, &event, &number));
        assert_int_equal(number, tally->child);
        if (scope.len == 4) assert_text(scope, "echo");
        else assert_text(scope, "history");
        assert_true(event.len > 0 && memcmp(event.ptr, "*", 1));
        tally->echoes++;
        return 0;
    case BREAK: return 42;
    default: /* TICK */
        assert_status(tea_cx_topic(cx, &scope, &event, &number), TEA_STATUS_NOT_FOUND);
        return 0;
    }
}

static int32_t tally_handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    int32_t result;
    enter(model);
    result = tally_handler(model, cx, handler, argument);
    leave(model);
    return result;
}

static void put(tea_value *state, const char *name, uint64_t value) {
    assert_ok(tea_value_put_str(state, tea_text(name)));
    assert_ok(tea_value_put_u64(state, value));
}

static int32_t tally_save(const void *model, tea_value *state) {
    const struct tally *tally = model;
    if (tally_refuses) return 9;
    enter(tally);
    assert_ok(tea_value_put_map(state, 6));
    put(state, "sum", tally->sum);
    put(state, "views", tally->views);
    put(state, "echoes", tally->echoes);
    put(state, "child", tally->child);
    put(state, "ticker", tally->ticker);
    put(state, "forgotten", tally_forgets ? 0 : tally->forgotten);
    leave(tally);
    return 0;
}

static uint64_t member(tea_payload state, const char *name) {
    uint64_t value;
    char path[32];
    snprintf(path, sizeof path, "/%s", name);
    assert_ok(tea_payload_get(state, tea_text(path), &state));
    assert_ok(tea_payload_u64(state, &value));
    return value;
}

static void *tally_load(tea_payload state, void *user_data) {
    struct tally *tally = make();
    (void)user_data;
    tally->sum = member(state, "sum");
    tally->views = member(state, "views");
    tally->echoes = member(state, "echoes");
    tally->child = member(state, "child");
    tally->ticker = member(state, "ticker");
    tally->forgotten = member(state, "forgotten");
    return tally;
}

static int32_t tally_query_callback(const void *model, uint16_t query, tea_payload argument, tea_value *answer) {
    (void)argument;
    return query == 0 ? tally_save(model, answer) : 5;
}

static void tally_free(void *model) {
    objects--;
    free(model);
}

/* The echo has no state. It answers every change. */
static void *echo_init(tea_cx *cx, tea_payload options, void *user_data) {
    (void)options, (void)user_data;
    assert_ok(tea_cx_subscribe(cx, TEA_STR("tally"), TEA_STR("changed"), 0));
    return make();
}

static int32_t echo_handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    (void)model, (void)handler;
    return (int32_t)tea_cx_publish(cx, TEA_STR("echo"), TEA_STR("echo"), argument);
}

static int32_t echo_save(const void *model, tea_value *state) {
    (void)model;
    return (int32_t)tea_value_put_nil(state);
}

static void *echo_load(tea_payload state, void *user_data) {
    (void)state, (void)user_data;
    return make();
}

tea_app *tally_app(bool with_chat) {
    static const tea_str handlers[] = {{"add", 3}, {"tick", 4}, {"joined", 6}, {"left", 4}, {"echoed", 6}, {"break", 5}};
    static const tea_str queries[] = {{"state", 5}, {"broken", 6}};
    tea_model tally, echo;
    tea_app *app;
    memset(&tally, 0, sizeof tally);
    tally.size = sizeof tally;
    tally.id = TEA_STR("tally");
    tally.handlers = handlers;
    tally.handler_count = 6;
    tally.queries = queries;
    tally.query_count = 2;
    tally.init = tally_init;
    tally.handle = tally_handle;
    tally.save = tally_save;
    tally.load = tally_load;
    tally.query = tally_query_callback;
    tally.free = tally_free;
    memset(&echo, 0, sizeof echo);
    echo.size = sizeof echo;
    echo.id = TEA_STR("echo");
    echo.handlers = handlers;
    echo.handler_count = 1;
    echo.init = echo_init;
    echo.handle = echo_handle;
    echo.save = echo_save;
    echo.load = echo_load;
    echo.free = tally_free;
    assert_ok(tea_app_new(TEA_STR("test.tally"), 1, &app));
    assert_ok(tea_app_add_model(app, &tally));
    assert_ok(tea_app_add_model(app, &echo));
    if (with_chat) assert_ok(tea_app_add_chat(app));
    return app;
}

tea_session *join(tea_app *app, tea_str reflector, tea_payload options) {
    return join_with_evidence(app, reflector, options, TEA_STR(""));
}

tea_session *join_with_evidence(tea_app *app, tea_str reflector, tea_payload options, tea_str directory) {
    return join_room(app, reflector, TEA_STR("room"), options, directory);
}

tea_session *join_room(tea_app *app, tea_str reflector, tea_str room, tea_payload options, tea_str directory) {
    tea_config *config;
    tea_session *session;
    assert_ok(tea_config_new(app, room, options, &config));
    assert_ok(tea_config_set_evidence_dir(config, directory));
    assert_ok(tea_session_join(config, reflector, &session));
    assert_ok(tea_config_free(config));
    wait_for(session, TEA_EVENT_KIND_VIEW_READY);
    return session;
}

/* Half a minute, because valgrind makes everything slow. */
enum { PATIENCE = 300 };

tea_event wait_for(tea_session *session, tea_event_kind kind) {
    tea_event event;
    size_t count;
    int steps;
    for (steps = 0; steps < PATIENCE; steps++) {
        assert_ok(tea_session_step(session, 100000));
        for (;;) {
            assert_ok(tea_session_poll(session, TEA_FORMAT_MSGPACK, &event, 1, &count));
            if (!count) break;
            if (event.kind == kind) return event;
        }
        assert_ok(tea_session_wait(session, 100000));
    }
    print_error("no event of kind %d\n", (int)kind);
    fail();
    return event;
}

uint64_t tally_query(tea_session *session, const char *name) {
    tea_value *state;
    uint64_t value;
    assert_ok(tea_session_query(session, TEA_ROOT_MODEL, TEA_STR("state"), tea_nil(), TEA_FORMAT_MSGPACK, &state));
    value = member(data_of(state), name);
    assert_ok(tea_value_free(state));
    return value;
}

void wait_for_tally(tea_session *session, const char *name, uint64_t value) {
    int steps;
    for (steps = 0; steps < PATIENCE; steps++) {
        assert_ok(tea_session_step(session, 100000));
        if (tally_query(session, name) == value) return;
        assert_ok(tea_session_wait(session, 100000));
    }
    print_error("%s is %u\n", name, (unsigned)tally_query(session, name));
    fail();
}

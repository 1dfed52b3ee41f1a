/* Models in C reach other models, and get joins and exits in batches. */
#include "support.h"

/*
 * The root model "desk" counts who is there. It calls its child "clerk", which calls back. What is wrong is written down in
 * the state as a bit, because an assertion of cmocka would jump out of a callback.
 */
struct desk {
    uint64_t child, there, batches, wrong;
};
enum { ONE, ALL_IDS, ALL, GONE, ASK, CALL };
static bool is_wrong(struct desk *desk, int bit, bool wrong) {
    if (wrong) desk->wrong |= (uint64_t)1 << bit;
    return wrong;
}

static void *desk_init(tea_cx *cx, tea_payload options, void *user_data) {
    struct desk *desk = calloc(1, sizeof *desk);
    tea_value *none = NULL;
    tea_str scope, event;
    (void)options, (void)user_data;
    if (!desk) return NULL;
    /* The root's init is running: it is not missing. */
    is_wrong(desk, 0, tea_cx_call(cx, TEA_ROOT_MODEL, TEA_STR("ask"), tea_nil(), 0, &none) != TEA_STATUS_MODEL_RUNNING);
    is_wrong(desk, 1, tea_cx_topic(cx, &scope, &event, NULL) != TEA_STATUS_NOT_FOUND);
    is_wrong(desk, 2, tea_cx_subscribe_presence(cx, ONE, GONE) != TEA_STATUS_OK);
    is_wrong(desk, 3, tea_cx_subscribe_presence(cx, ALL_IDS, ALL) != TEA_STATUS_OK);
    is_wrong(desk, 4, tea_cx_subscribe(cx, TEA_STR("desk"), TEA_STR("*"), CALL) != TEA_STATUS_OK);
    is_wrong(desk, 5, tea_cx_create(cx, TEA_STR("clerk"), tea_nil(), &desk->child) != TEA_STATUS_OK);
    return desk;
}

static bool answers(tea_value *answer, uint64_t wanted) {
    uint64_t number = 0;
    bool equal = tea_payload_u64(data_of(answer), &number) == TEA_STATUS_OK && number == wanted;
    (void)tea_value_free(answer);
    return equal;
}

/* Asks the clerk, who asks this model back. */
static void desk_calls(struct desk *desk, tea_cx *cx) {
    tea_value *answer = NULL;
    tea_status status;
    int64_t number = 0;
    int at;
    status = tea_cx_call(cx, desk->child, TEA_STR("double"), tea_json("21"), TEA_FORMAT_MSGPACK, &answer);
    if (!is_wrong(desk, 10, status != TEA_STATUS_OK)) is_wrong(desk, 11, !answers(answer, 42));
    is_wrong(desk, 12, tea_cx_call(cx, desk->child, TEA_STR("double"), tea_json("1"), 0, NULL) != TEA_STATUS_OK);
    is_wrong(desk, 13, tea_cx_call(cx, 99, TEA_STR("double"), tea_nil(), 0, &answer) != TEA_STATUS_UNKNOWN_MODEL);
    is_wrong(desk, 14,
             tea_cx_call(cx, desk->child, TEA_STR("treble"), tea_nil(), 0, &answer) != TEA_STATUS_UNKNOWN_HANDLER);
    /* The clerk answers with the status that it gets from its caller: it runs. */
    status = tea_cx_call(cx, desk->child, TEA_STR("back"), tea_nil(), TEA_FORMAT_MSGPACK, &answer);
    if (!is_wrong(desk, 15, status != TEA_STATUS_OK)) is_wrong(desk, 16, !answers(answer, TEA_STATUS_MODEL_RUNNING));
    status = tea_cx_query(cx, TEA_ROOT_MODEL, TEA_STR("x"), tea_nil(), TEA_FORMAT_MSGPACK, &answer);
    is_wrong(desk, 17, status != TEA_STATUS_MODEL_RUNNING);
    for (at = 0; at < 50; at++)
        is_wrong(desk, 18, tea_cx_random_range(cx, -2, 2, &number) != TEA_STATUS_OK || number < -2 || number > 2);
    is_wrong(desk, 19, tea_cx_random_range(cx, 7, -7, &number) != TEA_STATUS_OK || number != 7);
    is_wrong(desk, 20, tea_cx_model_only(cx) != TEA_STATUS_OK);
    is_wrong(desk, 21, tea_cx_model_only(NULL) != TEA_STATUS_NOT_IN_MODEL);
}

static int32_t desk_handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    struct desk *desk = model;
    tea_view_id views[4];
    tea_payload id;
    tea_str scope, event;
    uint64_t from = 9;
    const uint8_t *bytes;
    size_t count = 0, length = 0;
    switch (handler) {
    case ONE:
        is_wrong(desk, 30, tea_payload_bytes(argument, &bytes, &length) != TEA_STATUS_OK || length != 16);
        is_wrong(desk, 31, tea_cx_views(cx, views, 4, &count) != TEA_STATUS_OK || count == 0);
        is_wrong(desk, 32, tea_cx_views(cx, views, 0, &count) != TEA_STATUS_BUFFER_TOO_SMALL);
        desk->there = count;
        return 0;
    case ALL_IDS:
        /* An array of ids, in one call. */
        is_wrong(desk, 33, tea_payload_get(argument, TEA_STR("/0"), &id) != TEA_STATUS_OK);
        is_wrong(desk, 34, tea_payload_bytes(id, &bytes, &length) != TEA_STATUS_OK || length != 16);
        desk->batches++;
        return 0;
    case ALL:
    case GONE:
        /* An array of arrays of id and view data. */
        is_wrong(desk, 35, tea_payload_get(argument, TEA_STR("/0/0"), &id) != TEA_STATUS_OK);
        is_wrong(desk, 36, tea_payload_bytes(id, &bytes, &length) != TEA_STATUS_OK || length != 16);
        desk->batches++;
        return 0;
    case CALL:
        is_wrong(desk, 37, tea_cx_topic(cx, &scope, &event, &from) != TEA_STATUS_OK || from != 0);
        is_wrong(desk, 38, event.len != 4 || memcmp(event.ptr, "work", 4));
        desk_calls(desk, cx);
        is_wrong(desk, 39, event.len != 4 || memcmp(event.ptr, "work", 4));
        return 0;
    default: return 1;
    }
}

static int32_t desk_save(const void *model, tea_value *state) {
    const struct desk *desk = model;
    tea_value_put_map(state, 4);
    tea_value_put_str(state, TEA_STR("child"));
    tea_value_put_u64(state, desk->child);
    tea_value_put_str(state, TEA_STR("there"));
    tea_value_put_u64(state, desk->there);
    tea_value_put_str(state, TEA_STR("batches"));
    tea_value_put_u64(state, desk->batches);
    tea_value_put_str(state, TEA_STR("wrong"));
    return tea_value_put_u64(state, desk->wrong);
}

/* The last state that was loaded. */
static struct desk seen;

static void *desk_load(tea_payload state, void *user_data) {
    struct desk *desk = calloc(1, sizeof *desk);
    tea_payload part;
    (void)user_data;
    if (!desk) return NULL;
    if (tea_payload_get(state, TEA_STR("/child"), &part) == TEA_STATUS_OK) tea_payload_u64(part, &desk->child);
    if (tea_payload_get(state, TEA_STR("/there"), &part) == TEA_STATUS_OK) tea_payload_u64(part, &desk->there);
    if (tea_payload_get(state, TEA_STR("/batches"), &part) == TEA_STATUS_OK) tea_payload_u64(part, &desk->batches);
    if (tea_payload_get(state, TEA_STR("/wrong"), &part) == TEA_STATUS_OK) tea_payload_u64(part, &desk->wrong);
    seen = *desk;
    return desk;
}

static void *clerk_init(tea_cx *cx, tea_payload options, void *user_data) {
    (void)cx, (void)options, (void)user_data;
    return calloc(1, 1);
}

static int32_t clerk_handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    tea_value *answer;
    uint64_t number = 0;
    tea_status status;
    int32_t result;
    (void)model;
    if (handler == 0) {
        if (tea_payload_u64(argument, &number)) return 1;
        number *= 2;
    } else {
        status = tea_cx_call(cx, TEA_ROOT_MODEL, TEA_STR("ask"), tea_nil(), TEA_FORMAT_MSGPACK, &answer);
        number = (uint64_t)status;
    }
    if (tea_value_new(&answer)) return 2;
    tea_value_put_u64(answer, number);
    result = tea_cx_answer(cx, data_of(answer));
    (void)tea_value_free(answer);
    return result;
}

static int32_t clerk_save(const void *model, tea_value *state) {
    (void)model;
    return tea_value_put_nil(state);
}

static void *clerk_load(tea_payload state, void *user_data) {
    (void)state, (void)user_data;
    return calloc(1, 1);
}

static tea_app *desk_app(const int32_t *kinds) {
    static const tea_str desks[] = {{"one", 3}, {"ids", 3}, {"all", 3}, {"gone", 4}, {"ask", 3}, {"call", 4}};
    static const tea_str clerks[] = {{"double", 6}, {"back", 4}};
    tea_model desk, clerk;
    tea_app *app;
    memset(&desk, 0, sizeof desk);
    desk.size = sizeof desk;
    desk.id = TEA_STR("desk");
    desk.handlers = desks;
    desk.handler_count = sizeof desks / sizeof *desks;
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
    assert_ok(tea_app_new(TEA_STR("org.example.desk"), 1, &app));
    assert_status(tea_app_add_model(app, &desk), kinds[ONE] > 3 ? TEA_STATUS_INVALID_ARGUMENT : TEA_STATUS_OK);
    if (kinds[ONE] <= 3) assert_ok(tea_app_add_model(app, &clerk));
    return app;
}

static void models_call_each_other_and_get_batches(void **state) {
    static const int32_t kinds[] = {TEA_HANDLER_KIND_VIEW_ID, TEA_HANDLER_KIND_VIEW_IDS, TEA_HANDLER_KIND_VIEWS,
                                    TEA_HANDLER_KIND_VIEWS,   TEA_HANDLER_KIND_VIEW,     TEA_HANDLER_KIND_VIEW};
    tea_sync_step steps[4];
    tea_app *app = desk_app(kinds);
    int at;
    (void)state;
    memset(steps, 0, sizeof steps);
    for (at = 0; at < 4; at++) memset(steps[at].view.bytes, at == 1 ? 2 : 1, 16);
    steps[2].kind = TEA_SYNC_KIND_PUBLISH;
    steps[2].scope = TEA_STR("desk");
    steps[2].event = TEA_STR("work");
    steps[2].payload = tea_json("1");
    steps[3].kind = TEA_SYNC_KIND_EXIT;
    assert_ok(tea_sync_test(app, tea_nil(), 1, steps, 4));
    assert_ok(tea_app_free(app));
    assert_int_equal(seen.wrong, 0);
    assert_int_equal(seen.there, 2);
    /* Two joins, and one exit for two handlers. */
    assert_int_equal(seen.batches, 4);
}

static void an_unknown_kind_is_refused(void **state) {
    static const int32_t kinds[] = {4, 0, 0, 0, 0, 0};
    (void)state;
    assert_ok(tea_app_free(desk_app(kinds)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_call_each_other_and_get_batches),
        cmocka_unit_test(an_unknown_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Calls every function of the header with NULL for each pointer, and with a panic inside. The calls
 * are generated from the header, so none is missing. A handler makes them, because all calls are
 * allowed there.
 */
#include <stdio.h>
#include <stdlib.h>

#include <teatime.h>

void tea_inject_panic(void);

enum { ROOM = 64 };

static struct {
    tea_app *app;
    tea_blobs *blobs;
    tea_config *config;
    tea_cx *cx;
    tea_reflector *reflector;
    tea_session *session; /* not the session whose handler runs */
    tea_transfer *transfer;
    tea_value *value;
    tea_model model;
    tea_migration migration;
    tea_sync_step step;
} fixture;
static const tea_str no_text = {NULL, 1};
static const tea_payload no_data = {NULL, 1, TEA_FORMAT_MSGPACK};
static int calls, wrong;

static void expect(tea_status status, int wanted, const char *what) {
    tea_str why = tea_last_error();
    calls++;
    if (status == wanted || (wanted == -1 && status != TEA_STATUS_NULL_POINTER && status != TEA_STATUS_PANIC))
        return;
    fprintf(stderr, "%s: %d instead of %d: %.*s\n", what, (int)status, wanted, TEA_PRINT(why));
    wrong++;
}

/* Out-parameters are written on success only. */
static void expect_poison(const void *out, size_t size, const char *what) {
    const unsigned char *bytes = out;
    size_t at;
    for (at = 0; at < size && bytes[at] == 0x5a; at++) {}
    if (at == size) return;
    fprintf(stderr, "%s has written although it failed\n", what);
    wrong++;
}

/* After a panic the next call works. */
static void expect_alive(const char *what) {
    uint64_t now;
    tea_payload data;
    expect(tea_session_now(fixture.session, &now), TEA_STATUS_OK, what);
    expect(tea_cx_now(fixture.cx, &now), TEA_STATUS_OK, what);
    expect(tea_value_payload(fixture.value, &data), TEA_STATUS_OK, what);
}

#include "wrong_calls.inc"

static void must(tea_status status, const char *what) {
    expect(status, TEA_STATUS_OK, what);
    if (status != TEA_STATUS_OK) exit(1);
}

static void *init(tea_cx *cx, tea_payload options, void *user_data) {
    (void)options;
    fixture.cx = cx;
    if (!calls) {
        call_with_nulls();
        call_with_panics();
    }
    return user_data;
}

static int32_t handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    (void)model, (void)cx, (void)handler, (void)argument;
    return 0;
}

static int32_t save(const void *model, tea_value *state) {
    (void)model;
    return (int32_t)tea_value_put_nil(state);
}

static void *load(tea_payload state, void *user_data) {
    (void)state;
    return user_data;
}

static int32_t migrate(tea_payload old, tea_value *migrated, void *user_data) {
    (void)old, (void)user_data;
    return (int32_t)tea_value_put_nil(migrated);
}

int main(void) {
    static const tea_str handlers[] = {{"zero", 4}, {"one", 3}};
    tea_sync_step none;
    tea_app *app, *chat;
    tea_str url;
    memset(&none, 0, sizeof none);
    fixture.model.size = sizeof fixture.model;
    fixture.model.id = TEA_STR("text");
    fixture.model.handlers = handlers;
    fixture.model.handler_count = 2;
    fixture.model.user_data = &fixture;
    fixture.model.init = init;
    fixture.model.handle = handle;
    fixture.model.save = save;
    fixture.model.load = load;
    fixture.migration.from = 1;
    fixture.migration.migrate = migrate;
    must(tea_app_new(TEA_STR("other"), 1, &fixture.app), "app");
    must(tea_app_new(TEA_STR(TEA_CHAT_APP), 1, &chat), "chat");
    must(tea_app_add_chat(chat), "chat");
    must(tea_config_new(chat, TEA_STR("room"), tea_json("{}"), &fixture.config), "config");
    must(tea_reflector_start(TEA_STR("127.0.0.1:0"), &fixture.reflector), "reflector");
    must(tea_reflector_url(fixture.reflector, &url), "reflector");
    must(tea_session_join(fixture.config, url, &fixture.session), "session");
    must(tea_blobs_new(fixture.config, url, &fixture.blobs), "blobs");
    must(tea_blobs_store(fixture.blobs, NULL, 0, &fixture.transfer), "transfer");
    must(tea_value_new(&fixture.value), "value");
    must(tea_value_put_nil(fixture.value), "value");
    /* The sync test makes the model, whose init makes all calls. */
    calls = 0;
    must(tea_app_new(TEA_STR("text"), 1, &app), "app");
    calls = 0;
    expect(tea_app_add_model(app, &fixture.model), TEA_STATUS_OK, "model");
    calls = 0;
    {
        tea_status status = tea_sync_test(app, tea_nil(), 1, &none, 0);
        expect(status, TEA_STATUS_OK, "sync test");
    }
    must(tea_value_free(fixture.value), "value");
    must(tea_transfer_free(fixture.transfer), "transfer");
    must(tea_blobs_free(fixture.blobs), "blobs");
    must(tea_session_free(fixture.session), "session");
    must(tea_reflector_free(fixture.reflector), "reflector");
    must(tea_config_free(fixture.config), "config");
    must(tea_app_free(fixture.app), "app");
    must(tea_app_free(chat), "chat");
    must(tea_app_free(app), "app");
    printf("%d calls, %d wrong\n", calls, wrong);
    return wrong || calls < 200;
}

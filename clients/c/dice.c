/*
 * The smallest app with a model of its own in C: a die that all participants share. Each line on standard input rolls
 * it, and all participants see the same number.
 *
 * dice [URL [ROOM]] without a URL plays alone, with a reflector of its own. The end of input leaves the session.
 * Build it with: cc dice.c $(pkg-config --cflags --libs teatime) -o dice
 */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <teatime.h>

/* The model: how often the die was rolled, and what it shows. */

struct dice {
    uint64_t rolls, shows;
};

static void *init(tea_cx *cx, tea_payload options, void *user_data) {
    (void)options, (void)user_data;
    /* Handler 0 of this model gets each event `roll`. */
    if (tea_cx_subscribe(cx, TEA_STR("dice"), TEA_STR("roll"), 0)) return NULL;
    return calloc(1, sizeof(struct dice));
}

/* Random numbers come from the session, so all participants draw the same. */
static int32_t handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    struct dice *dice = model;
    (void)handler, (void)argument;
    if (tea_cx_random_below(cx, 6, &dice->shows)) return 1;
    dice->shows++;
    dice->rolls++;
    return tea_cx_publish(cx, TEA_STR("dice"), TEA_STR("rolled"), tea_nil());
}

/* A participant that joins later begins with what `save` writes. */
static int32_t save(const void *model, tea_value *state) {
    const struct dice *dice = model;
    tea_value_put_map(state, 2);
    tea_value_put_str(state, TEA_STR("rolls"));
    tea_value_put_u64(state, dice->rolls);
    tea_value_put_str(state, TEA_STR("shows"));
    return tea_value_put_u64(state, dice->shows);
}

static bool number(tea_payload state, const char *path, uint64_t *value) {
    return !tea_payload_get(state, tea_text(path), &state) && !tea_payload_u64(state, value);
}

static void *load(tea_payload state, void *user_data) {
    struct dice *dice = calloc(1, sizeof *dice);
    (void)user_data;
    if (dice && number(state, "/rolls", &dice->rolls) && number(state, "/shows", &dice->shows)) return dice;
    free(dice);
    return NULL;
}

static int32_t query(const void *model, uint16_t name, tea_payload argument, tea_value *answer) {
    (void)name, (void)argument;
    return save(model, answer);
}

static tea_app *declare(void) {
    static const tea_str handlers[] = {{"roll", 4}}, queries[] = {{"dice", 4}};
    tea_model model;
    tea_app *app;
    memset(&model, 0, sizeof model);
    model.size = sizeof model;
    model.id = TEA_STR("dice");
    model.version = 1;
    model.handlers = handlers;
    model.handler_count = 1;
    model.queries = queries;
    model.query_count = 1;
    model.init = init;
    model.handle = handle;
    model.save = save;
    model.load = load;
    model.query = query;
    model.free = free;
    if (tea_app_new(TEA_STR("org.example.dice"), 1, &app) || tea_app_add_model(app, &model)) return NULL;
    return app;
}

/* The view. */

static int fail(void) {
    tea_str why = tea_last_error();
    fprintf(stderr, "dice: %.*s\n", TEA_PRINT(why));
    return 1;
}

static void show(tea_session *session) {
    tea_value *answer;
    tea_payload state;
    uint64_t rolls, shows;
    if (tea_session_query(session, TEA_ROOT_MODEL, TEA_STR("dice"), tea_nil(), TEA_FORMAT_MSGPACK, &answer)) return;
    if (!tea_value_payload(answer, &state) && number(state, "/rolls", &rolls) && number(state, "/shows", &shows))
        printf("roll %llu shows %llu\n", (unsigned long long)rolls, (unsigned long long)shows);
    tea_value_free(answer);
    fflush(stdout);
}

/* Rolls once for each line. False at the end of input. */
static bool obey(tea_session *session) {
    char typed[256];
    ssize_t length = read(STDIN_FILENO, typed, sizeof typed), at;
    for (at = 0; at < length; at++)
        if (typed[at] == '\n') tea_session_publish(session, TEA_STR("dice"), TEA_STR("roll"), tea_nil(), NULL);
    return length > 0;
}

int main(int argc, char **argv) {
    tea_reflector *reflector = NULL;
    tea_session *session;
    tea_config *config;
    tea_event events[64];
    uint64_t subscription;
    size_t count, at;
    struct pollfd wait[2] = {{0, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    bool on = true;
    tea_str url = tea_text(argc > 1 ? argv[1] : "");
    tea_app *app = declare();
    if (argc < 2 && (tea_reflector_local(&reflector) || tea_reflector_url(reflector, &url))) return fail();
    if (!app || tea_config_new(app, tea_text(argc > 2 ? argv[2] : "table"), tea_nil(), &config)) return fail();
    if (tea_session_join(config, url, &session) || tea_session_fd(session, &wait[0].fd)) return fail();
    if (tea_session_subscribe(session, TEA_STR("dice"), TEA_STR("rolled"), TEA_HANDLING_ONCE_PER_FRAME,
                              &subscription))
        return fail();
    tea_config_free(config);
    tea_app_free(app);
    while (on) {
        poll(wait, 2, 100);
        if (wait[1].revents) on = obey(session);
        if (tea_session_step(session, 16000)) return fail();
        if (tea_session_poll(session, TEA_FORMAT_MSGPACK, events, 64, &count)) return fail();
        for (at = 0; at < count; at++) {
            tea_event_kind kind = events[at].kind;
            if (kind == TEA_EVENT_KIND_VIEW_READY || kind == TEA_EVENT_KIND_PUBLISHED) show(session);
            if (kind == TEA_EVENT_KIND_CONNECTION && events[at].connection == TEA_CONNECTION_FAILED) on = false;
        }
    }
    at = tea_session_failure(session) ? (size_t)fail() : 0;
    tea_session_free(session);
    if (reflector) tea_reflector_free(reflector);
    return (int)at;
}

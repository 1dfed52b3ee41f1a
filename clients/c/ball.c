/*
 * A model written in C: a ball that moves, bounces off the walls of a box, and takes another direction
 * when a participant clicks. All participants see the ball at the same place, bit for bit.
 *
 * ball [URL [ROOM]] prints the ball ten times a second. A line on standard input is click or vote. The
 * end of input leaves the session. Build it with: cc -ffp-contract=off ball.c $(pkg-config --cflags --libs
 * teatime) -o ball
 */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <teatime.h>

/* The model. It reads its state and its context only, so it is the same on every machine. */

struct ball {
    double x, y;     /* in a box of 1000 x 1000 */
    double vx, vy;   /* per step */
    uint64_t clicks;
};

enum { STEP, CLICK };
static const double SPEED = 17.0, SIZE = 1000.0;
static const uint64_t STEP_US = 50000;

static void kick(struct ball *ball, tea_cx *cx) {
    double turn = 0.0;
    tea_cx_random(cx, &turn);
    ball->vx = SPEED * tea_math_cos(6.283185307179586 * turn);
    ball->vy = SPEED * tea_math_sin(6.283185307179586 * turn);
}

static void *init(tea_cx *cx, tea_payload options, void *user_data) {
    struct ball *ball = calloc(1, sizeof *ball);
    (void)options, (void)user_data;
    if (!ball) return NULL;
    ball->x = ball->y = SIZE / 2;
    kick(ball, cx);
    tea_cx_subscribe(cx, TEA_STR("ball"), TEA_STR("click"), CLICK);
    tea_cx_future(cx, STEP_US, STEP_US, STEP, tea_nil(), NULL);
    return ball;
}

static void move(double *at, double *by) {
    *at += *by;
    if (*at < 0.0) *at = -*at, *by = -*by;
    if (*at > SIZE) *at = 2 * SIZE - *at, *by = -*by;
}

static int32_t handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    struct ball *ball = model;
    (void)argument;
    if (handler == CLICK) {
        ball->clicks++;
        kick(ball, cx);
    } else {
        move(&ball->x, &ball->vx);
        move(&ball->y, &ball->vy);
    }
    tea_cx_publish(cx, TEA_STR("ball"), TEA_STR("moved"), tea_nil());
    return 0;
}

static int32_t save(const void *model, tea_value *state) {
    const struct ball *ball = model;
    tea_value_put_map(state, 5);
    tea_value_put_str(state, TEA_STR("x"));
    tea_value_put_f64(state, ball->x);
    tea_value_put_str(state, TEA_STR("y"));
    tea_value_put_f64(state, ball->y);
    tea_value_put_str(state, TEA_STR("vx"));
    tea_value_put_f64(state, ball->vx);
    tea_value_put_str(state, TEA_STR("vy"));
    tea_value_put_f64(state, ball->vy);
    tea_value_put_str(state, TEA_STR("clicks"));
    return tea_value_put_u64(state, ball->clicks);
}

static bool number(tea_payload state, const char *path, double *value) {
    return !tea_payload_get(state, tea_text(path), &state) && !tea_payload_f64(state, value);
}

static void *load(tea_payload state, void *user_data) {
    struct ball *ball = calloc(1, sizeof *ball);
    tea_payload clicks;
    (void)user_data;
    if (ball && number(state, "/x", &ball->x) && number(state, "/y", &ball->y) &&
        number(state, "/vx", &ball->vx) && number(state, "/vy", &ball->vy) &&
        !tea_payload_get(state, TEA_STR("/clicks"), &clicks) && !tea_payload_u64(clicks, &ball->clicks))
        return ball;
    free(ball);
    return NULL;
}

static int32_t query(const void *model, uint16_t name, tea_payload argument, tea_value *answer) {
    (void)name, (void)argument;
    return save(model, answer);
}

static tea_app *declare(void) {
    static const tea_str handlers[] = {{"step", 4}, {"click", 5}}, queries[] = {{"ball", 4}};
    tea_model model;
    tea_app *app;
    memset(&model, 0, sizeof model);
    model.size = sizeof model;
    model.id = TEA_STR("ball");
    model.version = 1;
    model.handlers = handlers;
    model.handler_count = 2;
    model.queries = queries;
    model.query_count = 1;
    model.init = init;
    model.handle = handle;
    model.save = save;
    model.load = load;
    model.query = query;
    model.free = free;
    if (tea_app_new(TEA_STR("org.example.ball"), 1, &app) || tea_app_add_model(app, &model)) return NULL;
    return app;
}

/* The view. */

static tea_session *session;

static int fail(void) {
    tea_str why = tea_last_error();
    fprintf(stderr, "ball: %.*s\n", TEA_PRINT(why));
    return 1;
}

static void print_ball(void) {
    tea_value *answer;
    tea_payload ball;
    if (tea_session_query(session, TEA_ROOT_MODEL, TEA_STR("ball"), tea_nil(), TEA_FORMAT_JSON, &answer)) return;
    if (!tea_value_payload(answer, &ball))
        printf("{\"event\":\"ball\",\"ball\":%.*s}\n", (int)ball.len, (const char *)ball.ptr);
    tea_value_free(answer);
}

static bool on_event(const tea_event *event) {
    char hash[65];
    unsigned long long seq = event->seq, time_us = event->time_us;
    tea_hex(event->hash.bytes, sizeof event->hash.bytes, hash);
    if (event->kind == TEA_EVENT_KIND_VIEW_READY) puts("{\"event\":\"joined\"}");
    if (event->kind == TEA_EVENT_KIND_PUBLISHED) print_ball();
    if (event->kind == TEA_EVENT_KIND_STATE)
        printf("{\"event\":\"state\",\"seq\":%llu,\"time_us\":%llu,\"hash\":\"%s\"}\n", seq, time_us, hash);
    if (event->kind == TEA_EVENT_KIND_VERDICT)
        printf("{\"event\":\"verdict\",\"seq\":%llu,\"hash\":\"%s\",\"agreed\":%u,\"of\":%u}\n", seq, hash,
               event->agreed, event->of);
    return event->kind != TEA_EVENT_KIND_CONNECTION || event->connection != TEA_CONNECTION_FAILED;
}

/* Reads what the user typed. False at the end of input. */
static bool obey(void) {
    char line[256];
    ssize_t length = read(STDIN_FILENO, line, sizeof line - 1);
    if (length <= 0) return false;
    line[length] = 0;
    if (strstr(line, "click"))
        tea_session_publish(session, TEA_STR("ball"), TEA_STR("click"), tea_nil(), NULL);
    if (strstr(line, "vote")) tea_session_request_vote(session);
    return true;
}

int main(int argc, char **argv) {
    tea_reflector *reflector = NULL;
    tea_config *config;
    tea_str url = {NULL, 0}, room = tea_text(argc > 2 ? argv[2] : "lobby");
    tea_event events[64];
    uint64_t subscription;
    size_t count, at;
    struct pollfd wait[2] = {{0, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    bool on = true;
    tea_app *app = declare();
    if (!app || tea_config_new(app, room, tea_nil(), &config)) return fail();
    if (argc > 1) url = tea_text(argv[1]);
    else if (tea_reflector_local(&reflector) || tea_reflector_url(reflector, &url)) return fail();
    if (tea_session_join(config, url, &session) || tea_session_fd(session, &wait[0].fd) ||
        tea_session_subscribe(session, TEA_STR("ball"), TEA_STR("moved"), TEA_HANDLING_ONCE_PER_FRAME,
                              &subscription))
        return fail();
    tea_config_free(config);
    tea_app_free(app);
    while (on) {
        poll(wait, 2, 100);
        if (wait[1].revents) on = obey();
        if (tea_session_step(session, 16000) ||
            tea_session_poll(session, TEA_FORMAT_MSGPACK, events, 64, &count))
            return fail();
        for (at = 0; at < count; at++) on = on_event(&events[at]) && on;
        fflush(stdout);
    }
    at = tea_session_failure(session) ? (size_t)fail() : 0;
    tea_session_free(session);
    if (reflector) tea_reflector_free(reflector);
    return (int)at;
}

/*
 * A chat participant that obeys lines of standard input: "away MILLISECONDS" goes to the background, "back" comes back,
 * "look" tells the state of the connection. The end of the input leaves. It prints JSON, an object a line.
 */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <unistd.h>

#include "support.h"

static tea_session *session;

static void pull(void) {
    tea_event event;
    size_t count;
    for (;;) {
        assert_ok(tea_session_poll(session, TEA_FORMAT_MSGPACK, &event, 1, &count));
        if (!count) return;
        if (event.kind == TEA_EVENT_KIND_VIEW_READY) printf("{\"event\":\"ready\"}\n");
        /* Messages arrive in order, so the reflector knows how long this participant is away. */
        if (event.kind == TEA_EVENT_KIND_CONNECTION && event.connection == TEA_CONNECTION_LIVE)
            printf("{\"event\":\"live\"}\n");
        if (event.kind == TEA_EVENT_KIND_CONNECTION && event.connection == TEA_CONNECTION_RECONNECTING)
            printf("{\"event\":\"reconnecting\"}\n");
        if (event.kind == TEA_EVENT_KIND_STATE) printf("{\"event\":\"away\"}\n");
    }
}

static void look(void) {
    tea_connection state;
    uint32_t participants = 0;
    assert_ok(tea_session_connection(session, &state));
    if (state == TEA_CONNECTION_LIVE) assert_ok(tea_session_participant_count(session, &participants));
    printf("{\"event\":\"state\",\"live\":%s,\"participants\":%u}\n", state == TEA_CONNECTION_LIVE ? "true" : "false",
           (unsigned)participants);
}

static void obey(const char *line) {
    unsigned pause;
    if (sscanf(line, "away %u", &pause) == 1) {
        assert_ok(tea_session_leave_after(session, pause));
        assert_ok(tea_session_request_vote(session));
    } else if (!strncmp(line, "back", 4)) {
        assert_ok(tea_session_reconnect(session));
    } else if (!strncmp(line, "look", 4)) {
        look();
    }
}

int main(int argc, char **argv) {
    tea_app *app;
    tea_config *config;
    char line[64];
    struct pollfd wait[2] = {{0, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    assert_int_equal(argc, 2);
    assert_ok(tea_app_new(TEA_STR(TEA_CHAT_APP), 1, &app));
    assert_ok(tea_app_add_chat(app));
    assert_ok(tea_config_new(app, TEA_STR("lobby"), tea_json("{\"inactivity_seconds\":1200,\"announce\":false}"),
                             &config));
    assert_ok(tea_session_join(config, tea_text(argv[1]), &session));
    assert_ok(tea_config_free(config));
    assert_ok(tea_session_fd(session, &wait[0].fd));
    setvbuf(stdin, NULL, _IONBF, 0);  /* poll knows of every byte that was not read */
    setvbuf(stdout, NULL, _IOLBF, 0); /* into a pipe, too */
    for (;;) {
        assert_ok(tea_session_step(session, 50000));
        pull();
        if (poll(wait, 2, 20) > 0 && wait[1].revents) {
            if (!fgets(line, sizeof line, stdin)) break;
            obey(line);
        }
    }
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
    return 0;
}

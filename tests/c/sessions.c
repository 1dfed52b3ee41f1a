/* Sessions and models in C, against a reflector in the same process. */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <unistd.h>

#include "support.h"

static tea_reflector *reflector;
static tea_str url;

static int start(void **state) {
    (void)state;
    assert_ok(tea_reflector_start(TEA_STR("127.0.0.1:0"), &reflector));
    assert_ok(tea_reflector_url(reflector, &url));
    return 0;
}

static int stop(void **state) {
    (void)state;
    assert_ok(tea_reflector_free(reflector));
    assert_int_equal(objects, 0); /* every model was freed */
    return 0;
}

static void add(tea_session *session, uint64_t number, uint64_t *receipt) {
    tea_value *value;
    assert_ok(tea_value_new(&value));
    assert_ok(tea_value_put_u64(value, number));
    assert_ok(tea_session_publish(session, TEA_STR("tally"), TEA_STR("add"), data_of(value), receipt));
    assert_ok(tea_value_free(value));
}

static void what_one_publishes_all_compute_and_a_late_joiner_too(void **state) {
    tea_app *app = tally_app(false);
    tea_payload options = tea_json("{\"echo\":\"echo\"}");
    tea_session *one = join(app, url, options), *two = join(app, url, options), *late;
    tea_event vote, other, verdict;
    uint64_t receipt = 0;
    bool applied = true;
    int number;
    (void)state;
    add(one, 1, &receipt);
    assert_int_equal(receipt, 1);
    assert_ok(tea_session_is_applied(one, receipt, &applied));
    assert_false(applied);
    for (number = 2; number <= 10; number++) add(number % 2 ? one : two, 10, NULL);
    wait_for_tally(one, "echoes", 10);
    assert_ok(tea_session_is_applied(one, receipt, &applied));
    assert_true(applied);
    wait_for_tally(two, "sum", tally_query(one, "sum"));
    late = join(app, url, options);
    assert_int_equal(tally_query(late, "echoes"), 10);
    wait_for_tally(one, "views", 3);
    wait_for_tally(two, "views", 3);
    assert_ok(tea_session_request_vote(two));
    vote = wait_for(one, TEA_EVENT_KIND_STATE);
    other = wait_for(late, TEA_EVENT_KIND_STATE);
    assert_int_equal(vote.seq, other.seq);
    assert_memory_equal(&vote.hash, &other.hash, sizeof vote.hash);
    wait_for(two, TEA_EVENT_KIND_STATE);
    verdict = wait_for(one, TEA_EVENT_KIND_VERDICT);
    assert_int_equal(verdict.agreed, 3);
    assert_int_equal(verdict.of, 3);
    assert_true(verdict.flag);
    assert_memory_equal(&verdict.hash, &vote.hash, sizeof vote.hash);
    assert_ok(tea_session_free(late));
    wait_for_tally(one, "views", 2);
    assert_ok(tea_session_free(two));
    assert_ok(tea_session_free(one));
    assert_ok(tea_app_free(app));
}

/* Steps all three until the last has diverged, and returns that event. */
static tea_event divergence_of_third(tea_session *const *three) {
    tea_event event;
    size_t at, count;
    int rounds;
    for (rounds = 0; rounds < 3000; rounds++) {
        for (at = 0; at < 3; at++) {
            assert_ok(tea_session_step(three[at], 100000));
            for (;;) {
                assert_ok(tea_session_poll(three[at], TEA_FORMAT_MSGPACK, &event, 1, &count));
                if (!count) break;
                if (event.kind != TEA_EVENT_KIND_DIVERGED) continue;
                assert_int_equal(at, 2);
                return event;
            }
            assert_ok(tea_session_wait(three[at], 5000));
        }
    }
    fail();
    return event;
}

static void a_client_that_diverges_reports_it_and_goes_on_with_the_right_state(void **state) {
    tea_app *app = tally_app(false);
    tea_payload options = tea_json("{\"echo\":\"echo\"}");
    char directory[] = "/tmp/teatime-evidence-XXXXXX", path[256], mark[9] = "";
    int round, at;
    (void)state;
    assert_non_null(mkdtemp(directory));
    for (round = 0; round < 2; round++) {
        bool kept = round == 0;
        tea_str evidence = kept ? tea_text(directory) : TEA_STR("/dev/null/nowhere");
        tea_session *three[3];
        tea_event told;
        uint64_t echoes;
        FILE *file;
        for (at = 0; at < 3; at++) three[at] = join_with_evidence(app, url, options, evidence);
        echoes = tally_query(three[2], "echoes");
        add(three[0], 5, NULL);
        for (at = 0; at < 3; at++) {
            tally_errs = at == 2;
            wait_for_tally(three[at], "echoes", echoes + 1);
        }
        tally_errs = false;
        assert_int_equal(tally_query(three[2], "sum"), tally_query(three[0], "sum") + 1);
        assert_ok(tea_session_request_vote(three[0]));
        told = divergence_of_third(three);
        assert_true(told.seq > 0);
        assert_int_equal(told.flag, kept);
        assert_int_equal(told.status, kept ? TEA_STATUS_OK : TEA_STATUS_IO);
        snprintf(path, sizeof path, "%.*s", TEA_PRINT(told.message));
        assert_non_null(strstr(path, kept ? directory : "/dev/null/nowhere"));
        if (kept) {
            assert_non_null(file = fopen(path, "rb"));
            assert_int_equal(fread(mark, 1, 8, file), 8);
            assert_string_equal(mark, "TeaTmEvi");
            assert_int_equal(fclose(file), 0);
            assert_int_equal(unlink(path), 0);
        }
        /* It loads the right state. */
        wait_for(three[2], TEA_EVENT_KIND_VIEW_READY);
        wait_for_tally(three[2], "sum", tally_query(three[0], "sum"));
        for (at = 0; at < 3; at++) assert_ok(tea_session_free(three[at]));
    }
    assert_int_equal(rmdir(directory), 0);
    assert_ok(tea_app_free(app));
}

/* The third of three computes something else whenever it runs, and so when it replays: it is another program. */
static void programs_that_compute_different_things_are_made_known_to_all(void **state) {
    tea_app *app = tally_app(false);
    tea_payload options = tea_json("{\"echo\":\"echo\"}");
    tea_session *three[3];
    bool told[3] = {false, false, false};
    char message[1024];
    tea_event event;
    size_t count;
    uint64_t echoes;
    int rounds, at;
    (void)state;
    /* A room of their own: no event before those of this test. */
    for (at = 0; at < 3; at++) three[at] = join_room(app, url, TEA_STR("builds"), options, TEA_STR(""));
    echoes = tally_query(three[2], "echoes");
    add(three[0], 5, NULL);
    for (at = 0; at < 3; at++) {
        tally_errs = at == 2;
        wait_for_tally(three[at], "echoes", echoes + 1);
    }
    tally_errs = false;
    assert_ok(tea_session_request_vote(three[0]));
    for (rounds = 0; rounds < 3000 && !(told[0] && told[1] && told[2]); rounds++) {
        for (at = 0; at < 3; at++) {
            tally_errs = at == 2;
            assert_ok(tea_session_step(three[at], 100000));
            tally_errs = false;
            for (;;) {
                assert_ok(tea_session_poll(three[at], TEA_FORMAT_MSGPACK, &event, 1, &count));
                if (!count) break;
                assert_int_not_equal(event.kind, TEA_EVENT_KIND_DIVERGED);
                if (event.kind != TEA_EVENT_KIND_DISAGREEMENT) continue;
                assert_false(told[at]);
                told[at] = true;
                assert_true(event.seq > 0);
                snprintf(message, sizeof message, "%.*s", TEA_PRINT(event.message));
                assert_non_null(strstr(message, "teatime-c/"));
                assert_non_null(strstr(message, "this one included"));
            }
            assert_ok(tea_session_wait(three[at], 5000));
        }
    }
    assert_true(told[0] && told[1] && told[2]);
    assert_int_equal(tally_query(three[2], "sum"), tally_query(three[0], "sum") + 1);
    for (at = 0; at < 3; at++) assert_ok(tea_session_free(three[at]));
    assert_ok(tea_app_free(app));
}

static void a_model_in_c_and_one_in_rust_hear_each_other(void **state) {
    tea_app *app = tally_app(true);
    tea_session *session = join(app, url, tea_json("{\"echo\":\"chat\"}"));
    tea_value *history;
    tea_payload line;
    tea_str text;
    (void)state;
    add(session, 1, NULL);
    /* The chat got input/newPost, and the tally got its history/refresh. */
    wait_for_tally(session, "echoes", 1);
    assert_ok(tea_session_query(session, tally_query(session, "child"), TEA_STR("history"), tea_nil(),
                                TEA_FORMAT_MSGPACK, &history));
    assert_ok(tea_payload_get(data_of(history), TEA_STR("/0/html"), &line));
    assert_ok(tea_payload_str(line, &text));
    assert_memory_equal(text.ptr + text.len - 5, "added", 5);
    assert_ok(tea_value_free(history));
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
}

static void acceptance_37_the_view_gets_the_root_and_reaches_the_other_models_from_there(void **state) {
    tea_app *app = tally_app(true);
    tea_session *session = join(app, url, tea_json("{\"echo\":\"chat\"}"));
    tea_value *answer;
    uint64_t root, child;
    int64_t participants;
    (void)state;
    assert_ok(tea_session_well_known(session, TEA_STR("modelRoot"), &root));
    assert_int_equal(root, TEA_ROOT_MODEL);
    child = tally_query(session, "child");
    assert_int_not_equal(child, root);
    assert_ok(tea_session_query(session, child, TEA_STR("participants"), tea_nil(), TEA_FORMAT_MSGPACK, &answer));
    assert_ok(tea_payload_i64(data_of(answer), &participants));
    assert_int_equal(participants, tally_query(session, "views"));
    assert_ok(tea_value_free(answer));
    assert_status(tea_session_query(session, child + 1000, TEA_STR("participants"), tea_nil(), TEA_FORMAT_MSGPACK,
                                    &answer), TEA_STATUS_UNKNOWN_MODEL);
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
}

static void subscriptions_are_queued_or_once_per_frame_and_pulled_in_batches(void **state) {
    tea_app *app = tally_app(false);
    tea_session *session = join(app, url, tea_json("{\"room\":2}"));
    uint64_t queued, newest, all;
    tea_event events[16];
    size_t count, at;
    tea_str text;
    (void)state;
    assert_ok(tea_session_subscribe(session, TEA_STR("a"), TEA_STR("b"), TEA_HANDLING_QUEUED, &queued));
    assert_ok(tea_session_subscribe(session, TEA_STR("a"), TEA_STR("b"), TEA_HANDLING_ONCE_PER_FRAME, &newest));
    assert_ok(tea_session_subscribe(session, TEA_STR("*"), TEA_STR("*"), TEA_HANDLING_QUEUED, &all));
    assert_status(tea_session_subscribe(session, TEA_STR("a"), TEA_STR("b"), 7, &all), TEA_STATUS_INVALID_ARGUMENT);
    assert_ok(tea_session_unsubscribe(session, all));
    /* Events of the session come first. This test is about published events. */
    do assert_ok(tea_session_poll(session, TEA_FORMAT_JSON, events, 16, &count));
    while (count);
    assert_ok(tea_session_publish_to_views(session, TEA_STR("a"), TEA_STR("b"), tea_json("{\"n\":1}")));
    assert_ok(tea_session_publish_to_views(session, TEA_STR("a"), TEA_STR("b"), tea_json("2")));
    assert_ok(tea_session_publish_to_views(session, TEA_STR("a"), TEA_STR("b"), tea_json("[3]")));
    assert_ok(tea_session_poll(session, TEA_FORMAT_JSON, events, 3, &count));
    assert_int_equal(count, 3);
    for (at = 0; at < 3; at++) {
        assert_int_equal(events[at].kind, TEA_EVENT_KIND_PUBLISHED);
        assert_int_equal(events[at].subscription, queued);
        assert_text(events[at].scope, "a");
        assert_text(events[at].event, "b");
        /* This participant published it to its own views. */
        assert_int_equal(events[at].model, 0);
        text.ptr = (const char *)events[at].payload.ptr;
        text.len = events[at].payload.len;
        assert_text(text, at == 0 ? "{\"n\":1}" : at == 1 ? "2" : "[3]");
    }
    assert_ok(tea_session_poll(session, TEA_FORMAT_MSGPACK, events, 16, &count));
    assert_int_equal(count, 1);
    assert_int_equal(events[0].subscription, newest);
    assert_int_equal(events[0].payload.len, 2);
    assert_memory_equal(events[0].payload.ptr, "\x91\x03", 2);
    assert_ok(tea_session_poll(session, TEA_FORMAT_MSGPACK, events, 16, &count));
    assert_int_equal(count, 0);
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
}

static void a_session_answers_questions_about_itself(void **state) {
    tea_app *app = tally_app(false);
    tea_session *session = join(app, url, tea_json("{\"room\":3}"));
    tea_view_id me, views[2];
    tea_session_id id;
    tea_connection connection;
    tea_stats stats;
    tea_hash one, two;
    uint64_t now, external, extrapolated, model, random, again;
    uint32_t participants;
    size_t count;
    float progress;
    bool synced;
    (void)state;
    assert_ok(tea_session_view_id(session, &me));
    assert_ok(tea_session_views(session, views, 2, &count));
    assert_int_equal(count, 1);
    assert_memory_equal(&views[0], &me, sizeof me);
    assert_status(tea_session_views(session, views, 0, &count), TEA_STATUS_BUFFER_TOO_SMALL);
    assert_ok(tea_session_participant_count(session, &participants));
    assert_int_equal(participants, 1);
    assert_ok(tea_session_id_of(session, &id));
    assert_ok(tea_session_connection(session, &connection));
    assert_int_equal(connection, TEA_CONNECTION_LIVE);
    assert_ok(tea_session_failure(session));
    wait_for(session, TEA_EVENT_KIND_SYNCED);
    assert_ok(tea_session_is_synced(session, &synced));
    assert_true(synced);
    assert_ok(tea_session_progress(session, &progress));
    assert_true(progress == 1.0f);
    /* A few ticks: future messages run and time passes. */
    do {
        assert_ok(tea_session_wait(session, 100000));
        assert_ok(tea_session_step(session, 100000));
        assert_ok(tea_session_now(session, &now));
    } while (now < 100000);
    assert_ok(tea_session_external_now(session, &external));
    assert_ok(tea_session_extrapolated_now(session, &extrapolated));
    assert_true(now <= external && external <= extrapolated);
    assert_ok(tea_session_stats(session, &stats));
    assert_int_equal(stats.models, 1);
    assert_int_equal(stats.futures, 1);
    assert_in_range(stats.round_trips, 1, 100);
    assert_ok(tea_session_well_known(session, TEA_STR("tally"), &model));
    assert_int_equal(model, TEA_ROOT_MODEL);
    assert_status(tea_session_well_known(session, TEA_STR("unknown"), &model), TEA_STATUS_NOT_FOUND);
    assert_ok(tea_session_state_hash(session, &one));
    assert_ok(tea_session_state_hash(session, &two));
    assert_memory_equal(&one, &two, sizeof one);
    assert_ok(tea_session_random_u64(session, &random));
    assert_ok(tea_session_random_u64(session, &again));
    assert_true(random != again);
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
}

/* Steps both until the second sees this number of participants that show something, and returns the first of them. */
static tea_presence presence_of_other(tea_session *one, tea_session *other, size_t wanted) {
    tea_presence shown[2];
    size_t count = 99;
    int rounds;
    memset(shown, 0, sizeof shown);
    for (rounds = 0; rounds < 3000 && count != wanted; rounds++) {
        assert_ok(tea_session_step(one, 100000));
        assert_ok(tea_session_step(other, 100000));
        assert_ok(tea_session_presences(other, TEA_FORMAT_JSON, shown, 2, &count));
        if (count != wanted) assert_ok(tea_session_wait(other, 10000));
    }
    assert_int_equal(count, wanted);
    return shown[0];
}

static void what_a_participant_shows_the_others_see_and_no_model_does(void **state) {
    tea_app *app = tally_app(false);
    tea_payload options = tea_json("{\"echo\":\"echo\"}");
    tea_session *one = join_room(app, url, TEA_STR("presence"), options, TEA_STR(""));
    tea_session *two = join_room(app, url, TEA_STR("presence"), options, TEA_STR(""));
    tea_presence shown;
    tea_view_id me;
    size_t count;
    char large[1100];
    (void)state;
    wait_for_tally(one, "views", 2);
    assert_ok(tea_session_view_id(one, &me));
    assert_ok(tea_session_set_presence(one, tea_json("{\"x\":10,\"y\":20}")));
    shown = presence_of_other(one, two, 1);
    assert_memory_equal(&shown.view, &me, sizeof me);
    assert_int_equal(shown.data.format, TEA_FORMAT_JSON);
    assert_text((tea_str){(const char *)shown.data.ptr, shown.data.len}, "{\"x\":10,\"y\":20}");
    wait_for(two, TEA_EVENT_KIND_PRESENCES_CHANGED);
    assert_status(tea_session_presences(two, TEA_FORMAT_JSON, &shown, 0, &count), TEA_STATUS_BUFFER_TOO_SMALL);
    assert_status(tea_session_presences(two, 7, &shown, 1, &count), TEA_STATUS_INVALID_ARGUMENT);
    /* This participant's own is not among them. */
    assert_ok(tea_session_presences(one, TEA_FORMAT_JSON, &shown, 1, &count));
    assert_int_equal(count, 0);
    memset(large, 'a', sizeof large - 1);
    large[0] = large[sizeof large - 2] = '"';
    large[sizeof large - 1] = 0;
    assert_status(tea_session_set_presence(one, tea_json(large)), TEA_STATUS_TOO_LARGE);
    assert_says("at most 1024 are allowed");
    presence_of_other(one, two, 1);
    assert_ok(tea_session_clear_presence(one));
    presence_of_other(one, two, 0);
    assert_ok(tea_session_set_presence(one, tea_json("1")));
    presence_of_other(one, two, 1);
    assert_ok(tea_session_leave(one));
    presence_of_other(one, two, 0);
    assert_status(tea_session_set_presence(one, tea_json("1")), TEA_STATUS_OVER);
    wait_for_tally(two, "views", 1);
    assert_int_equal(tally_query(two, "sum"), 0);
    assert_ok(tea_session_free(one));
    assert_ok(tea_session_free(two));
    assert_ok(tea_app_free(app));
}

static void queries_that_fail_say_why(void **state) {
    tea_app *app = tally_app(true);
    tea_session *session = join(app, url, tea_json("{\"echo\":\"chat\"}"));
    tea_value *answer = NULL;
    tea_str broken = TEA_STR("broken"), none = TEA_STR("none"), nickname = TEA_STR("nickname");
    (void)state;
    assert_status(tea_session_query(session, 99, none, tea_nil(), 0, &answer), TEA_STATUS_UNKNOWN_MODEL);
    assert_status(tea_session_query(session, 1, none, tea_nil(), 0, &answer), TEA_STATUS_UNKNOWN_QUERY);
    assert_status(tea_session_query(session, 1, broken, tea_nil(), 0, &answer), TEA_STATUS_QUERY_FAILED);
    assert_says("5");
    assert_status(tea_session_query(session, 2, nickname, tea_json("3"), 0, &answer), TEA_STATUS_QUERY_ARGUMENT);
    assert_status(tea_session_query(session, 2, nickname, tea_json("3"), 9, &answer), TEA_STATUS_INVALID_ARGUMENT);
    assert_null(answer);
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
}

static void a_handler_that_fails_is_reported_and_the_session_goes_on(void **state) {
    tea_app *app = tally_app(false);
    tea_session *session = join(app, url, tea_json("{\"room\":4}"));
    tea_event fault;
    tea_view_id me;
    char message[256];
    (void)state;
    assert_ok(tea_session_view_id(session, &me));
    assert_ok(tea_session_publish(session, TEA_STR("tally"), TEA_STR("break"), tea_nil(), NULL));
    fault = wait_for(session, TEA_EVENT_KIND_FAULT);
    assert_int_equal(fault.status, TEA_STATUS_FAULT);
    assert_int_equal(fault.model, TEA_ROOT_MODEL);
    assert_true(fault.flag);
    assert_memory_equal(&fault.sender, &me, sizeof me);
    snprintf(message, sizeof message, "%.*s", TEA_PRINT(fault.message));
    assert_non_null(strstr(message, "tally.break"));
    assert_non_null(strstr(message, "returned 42"));
    add(session, 5, NULL);
    while (tally_query(session, "sum") < 5) {
        assert_ok(tea_session_wait(session, 100000));
        assert_ok(tea_session_step(session, 100000));
    }
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
}

static void a_model_that_cannot_be_saved_is_reported_and_the_session_goes_on(void **state) {
    tea_app *app = tally_app(false);
    tea_session *session = join(app, url, tea_json("{\"room\":9}"));
    tea_event fault;
    tea_hash hash;
    char message[256];
    (void)state;
    tally_refuses = true;
    assert_status(tea_session_state_hash(session, &hash), TEA_STATUS_ENCODING);
    assert_says("save returned 9");
    assert_ok(tea_session_request_vote(session));
    fault = wait_for(session, TEA_EVENT_KIND_FAULT);
    snprintf(message, sizeof message, "%.*s", TEA_PRINT(fault.message));
    assert_non_null(strstr(message, "model M1 (tally)"));
    tally_refuses = false;
    assert_ok(tea_session_request_vote(session));
    wait_for(session, TEA_EVENT_KIND_STATE);
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
}

static void payloads_that_are_too_large_or_invalid_are_not_sent(void **state) {
    static uint8_t large[70000];
    tea_app *app = tally_app(false);
    tea_session *session = join(app, url, tea_json("{\"room\":5}"));
    tea_value *value;
    uint64_t receipt = 7;
    (void)state;
    assert_ok(tea_value_new(&value));
    assert_ok(tea_value_put_bytes(value, large, sizeof large));
    assert_status(tea_session_publish(session, TEA_STR("a"), TEA_STR("b"), data_of(value), &receipt),
                  TEA_STATUS_TOO_LARGE);
    assert_status(tea_session_publish(session, TEA_STR("a"), TEA_STR("b"), tea_json("{"), &receipt),
                  TEA_STATUS_BAD_FORMAT);
    assert_status(tea_session_publish(session, TEA_STR("a"), TEA_STR("b"), tea_msgpack("\x92\x01", 2), &receipt),
                  TEA_STATUS_BAD_FORMAT);
    assert_int_equal(receipt, 7);
    assert_ok(tea_value_free(value));
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
}

static void another_password_and_a_missing_reflector_are_reported(void **state) {
    tea_app *app = tally_app(false);
    tea_session *owner = join(app, url, tea_json("{\"room\":6}")), *other;
    tea_config *config;
    tea_value *answer;
    tea_event event;
    tea_session_id ids[2];
    uint64_t receipt;
    (void)state;
    assert_ok(tea_config_new(app, TEA_STR("room"), tea_json("{\"room\":6}"), &config));
    assert_ok(tea_config_set_password(config, TEA_STR("wrong")));
    assert_ok(tea_session_join(config, url, &other));
    assert_status(tea_session_query(other, 1, TEA_STR("state"), tea_nil(), 0, &answer), TEA_STATUS_NOT_JOINED);
    assert_status(tea_session_publish(other, TEA_STR("a"), TEA_STR("b"), tea_nil(), &receipt), TEA_STATUS_NOT_JOINED);
    event = wait_for(other, TEA_EVENT_KIND_OTHER_PASSWORD);
    assert_true(event.message.len > 0);
    assert_ok(tea_session_id_of(other, &ids[0]));
    assert_ok(tea_session_id_of(owner, &ids[1]));
    assert_memory_not_equal(ids[0].bytes, ids[1].bytes, sizeof ids[0].bytes);
    assert_ok(tea_session_free(other));
    assert_ok(tea_session_join(config, TEA_STR("127.0.0.1:1"), &other));
    do event = wait_for(other, TEA_EVENT_KIND_CONNECTION);
    while (event.status == TEA_STATUS_OK);
    assert_int_equal(event.status, TEA_STATUS_UNREACHABLE);
    assert_int_equal(event.connection, TEA_CONNECTION_CONNECTING);
    assert_ok(tea_session_free(other));
    assert_status(tea_session_join(config, TEA_STR("http://a"), &other), TEA_STATUS_BAD_ADDRESS);
    assert_ok(tea_config_free(config));
    assert_ok(tea_session_free(owner));
    assert_ok(tea_app_free(app));
}

static void leaving_twice_is_allowed_and_freeing_twice_is_refused(void **state) {
    tea_app *app = tally_app(false);
    tea_session *session = join(app, url, tea_json("{\"room\":7}"));
    tea_connection connection;
    uint64_t receipt = 0;
    (void)state;
    assert_ok(tea_session_leave(session));
    assert_ok(tea_session_leave(session));
    assert_ok(tea_session_step(session, 1000));
    assert_ok(tea_session_connection(session, &connection));
    assert_int_equal(connection, TEA_CONNECTION_LEFT);
    assert_status(tea_session_publish(session, TEA_STR("a"), TEA_STR("b"), tea_nil(), &receipt), TEA_STATUS_OVER);
    assert_status(tea_session_request_vote(session), TEA_STATUS_OVER);
    assert_ok(tea_session_free(session));
    assert_status(tea_session_free(session), TEA_STATUS_WRONG_HANDLE);
    assert_status(tea_session_step(session, 1000), TEA_STATUS_WRONG_HANDLE);
    assert_ok(tea_app_free(app));
}

static void step_and_drain(tea_session *session) {
    tea_event event;
    size_t count = 1;
    assert_ok(tea_session_step(session, 1000));
    while (count) assert_ok(tea_session_poll(session, TEA_FORMAT_MSGPACK, &event, 1, &count));
}

/* Steps both sessions until the second knows this number of participants. */
static void until_participants(tea_session *one, tea_session *two, uint32_t wanted) {
    uint32_t found = 0;
    for (int tries = 0; tries < 6000; ++tries) {
        step_and_drain(one);
        step_and_drain(two);
        assert_ok(tea_session_participant_count(two, &found));
        if (found == wanted) return;
        assert_ok(tea_session_wait(two, 10000));
    }
    print_error("%u participants, not %u\n", found, wanted);
    fail();
}

static void in_the_background_a_participant_leaves_after_the_time_of_its_choice(void **state) {
    tea_app *app = tally_app(false);
    tea_session *phone = join(app, url, tea_json("{\"room\":9}"));
    tea_session *other = join(app, url, tea_json("{\"room\":9}"));
    (void)state;
    until_participants(phone, other, 2);
    assert_ok(tea_session_leave_after(phone, 200));
    until_participants(phone, other, 1);
    assert_ok(tea_session_reconnect(phone));
    until_participants(phone, other, 2);
    assert_ok(tea_session_free(other));
    assert_ok(tea_session_free(phone));
    assert_ok(tea_app_free(app));
}

static void the_descriptor_is_readable_when_something_has_arrived(void **state) {
    tea_app *app = tally_app(false);
    tea_session *session = join(app, url, tea_json("{\"room\":8}"));
    struct pollfd wait = {0, POLLIN, 0};
    uint64_t due, before, now;
    int32_t again;
    int rounds;
    (void)state;
    assert_ok(tea_session_fd(session, &wait.fd));
    assert_ok(tea_session_fd(session, &again));
    assert_int_equal(again, wait.fd);
    assert_ok(tea_session_next_due(session, &due));
    assert_true(due < 60000000);
    assert_ok(tea_session_now(session, &before));
    for (rounds = 0; rounds < 5; rounds++) {
        /* A tick comes within 50 ms, so no timeout is needed. */
        assert_int_equal(poll(&wait, 1, 10000), 1);
        assert_ok(tea_session_step(session, 100000));
    }
    assert_ok(tea_session_now(session, &now));
    assert_true(now > before);
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
}

static tea_cx *kept;
static tea_session *own;
static tea_status seen_late, seen_reentrant;

static void *probe_init(tea_cx *cx, tea_payload options, void *user_data) {
    (void)options;
    kept = cx;
    assert_ok(tea_cx_subscribe(cx, TEA_STR("probe"), TEA_STR("probe"), 0));
    assert_status(tea_cx_subscribe(cx, TEA_STR("probe"), TEA_STR("probe"), 1), TEA_STATUS_UNKNOWN_HANDLER);
    return user_data;
}

static int32_t probe_handle(void *model, tea_cx *cx, uint16_t handler, tea_payload argument) {
    uint64_t number, count = 9;
    uint32_t views;
    double random;
    tea_view_id sender;
    tea_session_id id;
    tea_value *answer;
    (void)model, (void)handler, (void)argument;
    seen_late = tea_cx_now(kept, &number); /* the context of init is over */
    seen_reentrant = tea_session_now(own, &number);
    assert_ok(tea_cx_now(cx, &number));
    assert_ok(tea_cx_me(cx, &number));
    assert_int_equal(number, TEA_ROOT_MODEL);
    assert_ok(tea_cx_session_id(cx, &id));
    assert_ok(tea_cx_sender(cx, &sender));
    assert_ok(tea_cx_view_count(cx, &views));
    assert_int_equal(views, 1);
    assert_ok(tea_cx_random(cx, &random));
    assert_true(random >= 0.0 && random < 1.0);
    assert_ok(tea_cx_random_u64(cx, &number));
    assert_ok(tea_cx_future(cx, 1000, 0, 0, tea_nil(), &number));
    assert_ok(tea_cx_cancel(cx, number));
    assert_status(tea_cx_cancel(cx, number), TEA_STATUS_NOT_FOUND);
    assert_status(tea_cx_future(cx, 0, 0, 5, tea_nil(), NULL), TEA_STATUS_UNKNOWN_HANDLER);
    assert_ok(tea_cx_future(cx, 1000, 1000, 0, tea_nil(), NULL));
    assert_ok(tea_cx_future(cx, 1000, 0, 0, tea_nil(), NULL));
    assert_ok(tea_cx_cancel_all(cx, 0, &count));
    assert_int_equal(count, 2);
    assert_status(tea_cx_create(cx, TEA_STR("none"), tea_nil(), &number), TEA_STATUS_CREATE_FAILED);
    assert_ok(tea_cx_create(cx, TEA_STR("chat"), tea_json("{}"), &number));
    assert_ok(tea_cx_query(cx, number, TEA_STR("participants"), tea_nil(), TEA_FORMAT_JSON, &answer));
    assert_memory_equal(data_of(answer).ptr, "0", 1);
    assert_ok(tea_value_free(answer));
    assert_status(tea_cx_query(cx, TEA_ROOT_MODEL, TEA_STR("x"), tea_nil(), 0, &answer), TEA_STATUS_MODEL_RUNNING);
    assert_ok(tea_cx_set_well_known(cx, TEA_STR("child"), number));
    assert_ok(tea_cx_well_known(cx, TEA_STR("child"), &count));
    assert_int_equal(count, number);
    assert_status(tea_cx_set_well_known(cx, TEA_STR("child"), TEA_ROOT_MODEL), TEA_STATUS_NAME_TAKEN);
    assert_ok(tea_cx_destroy(cx, number));
    assert_status(tea_cx_destroy(cx, number), TEA_STATUS_UNKNOWN_MODEL);
    assert_status(tea_cx_destroy(cx, TEA_ROOT_MODEL), TEA_STATUS_UNKNOWN_MODEL);
    assert_status(tea_cx_well_known(cx, TEA_STR("child"), &count), TEA_STATUS_NOT_FOUND);
    assert_ok(tea_cx_unsubscribe(cx, TEA_STR("probe"), TEA_STR("probe"), 0));
    assert_ok(tea_cx_unsubscribe_all(cx));
    return 0;
}

static int32_t probe_save(const void *model, tea_value *state) {
    (void)model;
    return (int32_t)tea_value_put_payload(state, tea_json("{}"));
}

static void *probe_load(tea_payload state, void *user_data) {
    (void)state;
    return user_data;
}

static void a_context_does_what_it_says_and_ends_with_its_callback(void **state) {
    static const tea_str handlers[] = {{"probe", 5}};
    static int shared;
    tea_model probe;
    tea_app *app;
    uint64_t receipt, number;
    bool applied = false;
    (void)state;
    memset(&probe, 0, sizeof probe);
    probe.size = sizeof probe;
    probe.id = TEA_STR("probe");
    probe.handlers = handlers;
    probe.handler_count = 1;
    probe.user_data = &shared;
    probe.init = probe_init;
    probe.handle = probe_handle;
    probe.save = probe_save;
    probe.load = probe_load;
    assert_ok(tea_app_new(TEA_STR("test.probe"), 1, &app));
    assert_ok(tea_app_add_model(app, &probe));
    assert_ok(tea_app_add_chat(app));
    own = join(app, url, tea_nil());
    assert_status(tea_cx_now(kept, &number), TEA_STATUS_NOT_IN_MODEL);
    assert_ok(tea_session_publish(own, TEA_STR("probe"), TEA_STR("probe"), tea_nil(), &receipt));
    while (!applied) {
        assert_ok(tea_session_step(own, 100000));
        assert_ok(tea_session_is_applied(own, receipt, &applied));
        assert_ok(tea_session_wait(own, 100000));
    }
    assert_int_equal(seen_late, TEA_STATUS_NOT_IN_MODEL);
    assert_int_equal(seen_reentrant, TEA_STATUS_REENTRANT);
    assert_ok(tea_session_free(own));
    assert_ok(tea_app_free(app));
}

static tea_status sync(bool forgets, const char *event) {
    tea_app *app = tally_app(false);
    tea_sync_step steps[8];
    tea_status status;
    int at;
    memset(steps, 0, sizeof steps);
    for (at = 0; at < 8; at++) {
        memset(steps[at].view.bytes, 1, 16);
        steps[at].scope = TEA_STR("tally");
        steps[at].event = tea_text(event);
        steps[at].payload = tea_json("5");
        steps[at].span_us = 25000;
        steps[at].kind = at == 0 ? TEA_SYNC_KIND_JOIN : at == 7 ? TEA_SYNC_KIND_EXIT
                       : at % 2 ? TEA_SYNC_KIND_PUBLISH : TEA_SYNC_KIND_PASS;
    }
    tally_forgets = forgets;
    status = tea_sync_test(app, tea_json("{\"echo\":\"echo\"}"), 1, steps, 8);
    tally_forgets = false;
    assert_ok(tea_app_free(app));
    return status;
}

static void the_sync_test_finds_what_save_forgets(void **state) {
    (void)state;
    assert_ok(sync(false, "add"));
    assert_status(sync(true, "add"), TEA_STATUS_SYNC_DIFFERS);
    assert_says("model M1 (tally), field sum");
    assert_status(sync(false, "break"), TEA_STATUS_FAULT);
    assert_says("returned 42");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_publishes_all_compute_and_a_late_joiner_too),
        cmocka_unit_test(a_client_that_diverges_reports_it_and_goes_on_with_the_right_state),
        cmocka_unit_test(programs_that_compute_different_things_are_made_known_to_all),
        cmocka_unit_test(a_model_in_c_and_one_in_rust_hear_each_other),
        cmocka_unit_test(acceptance_37_the_view_gets_the_root_and_reaches_the_other_models_from_there),
        cmocka_unit_test(subscriptions_are_queued_or_once_per_frame_and_pulled_in_batches),
        cmocka_unit_test(a_session_answers_questions_about_itself),
        cmocka_unit_test(what_a_participant_shows_the_others_see_and_no_model_does),
        cmocka_unit_test(queries_that_fail_say_why),
        cmocka_unit_test(a_handler_that_fails_is_reported_and_the_session_goes_on),
        cmocka_unit_test(a_model_that_cannot_be_saved_is_reported_and_the_session_goes_on),
        cmocka_unit_test(payloads_that_are_too_large_or_invalid_are_not_sent),
        cmocka_unit_test(another_password_and_a_missing_reflector_are_reported),
        cmocka_unit_test(leaving_twice_is_allowed_and_freeing_twice_is_refused),
        cmocka_unit_test(in_the_background_a_participant_leaves_after_the_time_of_its_choice),
        cmocka_unit_test(the_descriptor_is_readable_when_something_has_arrived),
        cmocka_unit_test(a_context_does_what_it_says_and_ends_with_its_callback),
        cmocka_unit_test(the_sync_test_finds_what_save_forgets),
    };
    return cmocka_run_group_tests_name("sessions", tests, start, stop);
}

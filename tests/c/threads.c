/* Any thread may call: calls on one session take turns, and none sees another's half-done work. */
#include <pthread.h>
#include <stdatomic.h>

#include "support.h"

enum { ROUNDS = 300 };

static tea_session *session;
static atomic_bool done;
static atomic_int wakes, freed;

static void wake(void *user_data) { atomic_fetch_add((atomic_int *)user_data, 1); }

/* Uses the session in every way while others do the same. cmocka's asserts belong to its own thread:
 * what goes wrong is counted. */
static void *use(void *argument) {
    intptr_t wrong = 0, round;
    tea_event events[8];
    tea_value *answer;
    tea_str why;
    uint64_t now, receipt;
    size_t count;
    (void)argument;
    for (round = 0; round < ROUNDS; round++) {
        tea_status published;
        wrong += tea_session_now(session, &now) != TEA_STATUS_OK;
        published = tea_session_publish(session, TEA_STR("tally"), TEA_STR("add"), tea_json("1"), &receipt);
        wrong += published != TEA_STATUS_OK && published != TEA_STATUS_TOO_FAST;
        wrong += tea_session_query(session, 99, TEA_STR("state"), tea_nil(), 0, &answer) != TEA_STATUS_UNKNOWN_MODEL;
        /* The message is this thread's own. */
        why = tea_last_error();
        wrong += why.len != strlen("model M99 does not exist") || memcmp(why.ptr, "model M99 does not exist", why.len);
        wrong += tea_session_query(session, 1, TEA_STR("state"), tea_nil(), TEA_FORMAT_JSON, &answer) != TEA_STATUS_OK;
        wrong += tea_value_free(answer) != TEA_STATUS_OK;
        wrong += tea_session_step(session, 1000) != TEA_STATUS_OK;
        wrong += tea_session_poll(session, TEA_FORMAT_JSON, events, 8, &count) != TEA_STATUS_OK;
    }
    return (void *)wrong;
}

static void *free_while_used(void *argument) {
    uint64_t now;
    tea_status status;
    (void)argument;
    do status = tea_session_now(session, &now);
    while (status == TEA_STATUS_OK);
    atomic_fetch_add(&freed, status == TEA_STATUS_WRONG_HANDLE);
    return NULL;
}

static void calls_from_many_threads_take_turns(void **state) {
    tea_reflector *reflector;
    tea_app *app = tally_app(false);
    pthread_t threads[3];
    tea_str url;
    void *wrong;
    size_t at;
    (void)state;
    assert_ok(tea_reflector_start(TEA_STR("127.0.0.1:0"), &reflector));
    assert_ok(tea_reflector_url(reflector, &url));
    session = join(app, url, tea_nil());
    assert_ok(tea_session_set_waker(session, wake, &wakes));
    assert_true(atomic_load(&wakes) >= 1);
    for (at = 0; at < 3; at++) assert_int_equal(pthread_create(&threads[at], NULL, use, NULL), 0);
    for (at = 0; at < 3; at++) {
        assert_int_equal(pthread_join(threads[at], &wrong), 0);
        assert_int_equal((intptr_t)wrong, 0);
    }
    assert_true(atomic_load(&wakes) > 1);
    assert_ok(tea_session_set_waker(session, NULL, NULL));
    /* A session that is freed while others use it is told from a live one from then on. */
    for (at = 0; at < 3; at++) assert_int_equal(pthread_create(&threads[at], NULL, free_while_used, NULL), 0);
    assert_ok(tea_session_free(session));
    for (at = 0; at < 3; at++) assert_int_equal(pthread_join(threads[at], NULL), 0);
    assert_int_equal(atomic_load(&freed), 3);
    assert_ok(tea_app_free(app));
    assert_ok(tea_reflector_free(reflector));
    assert_int_equal(objects, 0);
    assert_int_equal(overlaps, 0);
}

static void *wait_long(void *argument) {
    tea_status status = tea_session_wait(session, 60000000);
    (void)argument;
    atomic_store(&done, true);
    return (void *)(intptr_t)status;
}

static void a_wait_lets_others_call_and_ends_when_something_arrives(void **state) {
    tea_reflector *reflector;
    tea_app *app = tally_app(false);
    pthread_t thread;
    tea_str url;
    void *status;
    uint64_t now;
    (void)state;
    assert_ok(tea_reflector_start(TEA_STR("127.0.0.1:0"), &reflector));
    assert_ok(tea_reflector_url(reflector, &url));
    session = join(app, url, tea_nil());
    assert_int_equal(pthread_create(&thread, NULL, wait_long, NULL), 0);
    /* Ticks come 20 times a second: the wait ends long before its minute. */
    while (!atomic_load(&done)) assert_ok(tea_session_now(session, &now));
    assert_int_equal(pthread_join(thread, &status), 0);
    assert_int_equal((intptr_t)status, TEA_STATUS_OK);
    assert_ok(tea_session_free(session));
    assert_ok(tea_app_free(app));
    assert_ok(tea_reflector_free(reflector));
}

static void *wait_for_the_end(void *argument) {
    tea_session_wait((tea_session *)argument, UINT64_MAX);
    return NULL;
}

static void forbidden(void *user_data) { atomic_fetch_add((atomic_int *)user_data, 1); }

static void a_session_that_is_freed_ends_waits_and_calls_no_waker(void **state) {
    tea_reflector *reflector;
    tea_app *app = tally_app(false);
    pthread_t thread;
    tea_str url;
    int round;
    (void)state;
    assert_ok(tea_reflector_start(TEA_STR("127.0.0.1:0"), &reflector));
    assert_ok(tea_reflector_url(reflector, &url));
    for (round = 0; round < 20; round++) {
        atomic_int calls;
        session = join(app, url, tea_nil());
        atomic_init(&calls, 0);
        assert_ok(tea_session_set_waker(session, forbidden, &calls));
        /* After this nothing arrives any more that could end a wait. */
        assert_ok(tea_session_leave(session));
        assert_ok(tea_session_step(session, 1000));
        assert_int_equal(pthread_create(&thread, NULL, wait_for_the_end, session), 0);
        assert_ok(tea_session_free(session));
        atomic_store(&calls, 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(atomic_load(&calls), 0);
    }
    assert_ok(tea_app_free(app));
    assert_ok(tea_reflector_free(reflector));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_from_many_threads_take_turns),
        cmocka_unit_test(a_session_that_is_freed_ends_waits_and_calls_no_waker),
        cmocka_unit_test(a_wait_lets_others_call_and_ends_when_something_arrives),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}

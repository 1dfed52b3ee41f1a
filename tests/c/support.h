/* Shared code of the tests in C: cmocka, an app with models in C, and functions that step sessions. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <teatime.h>

#define assert_ok(call) assert_status(call, TEA_STATUS_OK)
#define assert_status(call, wanted) _assert_status((call), (wanted), #call, __FILE__, __LINE__)

static inline void _assert_status(tea_status status, tea_status wanted, const char *call,
                                  const char *file, int line) {
    tea_str why = tea_last_error();
    if (status == wanted) return;
    print_error("%s is %d, not %d: %.*s\n", call, (int)status, (int)wanted, TEA_PRINT(why));
    _fail(file, line);
}

static inline void assert_text(tea_str text, const char *wanted) {
    assert_int_equal(text.len, strlen(wanted));
    assert_memory_equal(text.ptr, wanted, text.len);
}

/* Asserts that the last message contains this text. */
static inline void assert_says(const char *wanted) {
    char message[1024];
    tea_str why = tea_last_error();
    snprintf(message, sizeof message, "%.*s", TEA_PRINT(why));
    if (strstr(message, wanted)) return;
    print_error("%s: %s is missing\n", message, wanted);
    fail();
}

static inline tea_payload data_of(tea_value *value) {
    tea_payload data;
    assert_ok(tea_value_payload(value, &data));
    return data;
}

/*
 * Two models in C. The root "tally" adds the numbers of tally/add, publishes tally/changed, and
 * subscribes to joins and exits. It may have a child "echo", which subscribes to tally/changed. Its
 * options choose further behaviour.
 */
struct tally {
    uint64_t sum, views, echoes, child, ticker;
    uint64_t forgotten; /* a field that save leaves out if tally_forgets */
    atomic_bool busy;   /* one of its functions runs; not a part of its state */
};
enum { ADD, TICK, JOINED, LEFT, ECHOED, BREAK };
extern bool tally_forgets; /* save leaves out a field that matters */
extern bool tally_refuses; /* save fails */
extern bool tally_errs;    /* adding adds one more than asked */
extern atomic_int objects; /* models that are not freed yet */
extern atomic_int overlaps; /* calls of a model while another one ran */

tea_app *tally_app(bool with_chat);
uint64_t tally_query(tea_session *session, const char *member);

/* A session of an app on a reflector, stepped until its view is ready. */
tea_session *join(tea_app *app, tea_str reflector, tea_payload options);
/* Like this, with a directory for evidence. */
tea_session *join_with_evidence(tea_app *app, tea_str reflector, tea_payload options, tea_str directory);
/* Like this, in another room. */
tea_session *join_room(tea_app *app, tea_str reflector, tea_str room, tea_payload options, tea_str directory);
/* Steps until an event of this kind arrives, and returns it. */
tea_event wait_for(tea_session *session, tea_event_kind kind);
/* Steps until a query of the tally has this value. */
void wait_for_tally(tea_session *session, const char *member, uint64_t value);

#endif

/* A name server that does not answer, as behind a captive portal: it holds up neither the program nor leaving. */
#define _POSIX_C_SOURCE 200809L
#include <netdb.h>
#include <semaphore.h>
#include <time.h>

#include "support.h"

static sem_t asked, release;

/* The program's own function comes before that of the C library, for the library of Teatime as well. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    (void)name, (void)service, (void)hints, (void)found;
    sem_post(&asked);
    while (sem_wait(&release)) {} /* the system may interrupt it */
    return EAI_AGAIN;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static tea_config *config_of(tea_app *app) {
    tea_config *config;
    assert_ok(tea_config_new(app, TEA_STR("room"), tea_nil(), &config));
    return config;
}

/* The look-up here never ends. Every call must end all the same, also under valgrind on a busy machine. */
enum { AT_ONCE = 30 };

static void joining_stepping_and_leaving_do_not_wait_for_a_name_server(void **state) {
    tea_app *app = tally_app(false);
    tea_config *config = config_of(app);
    tea_session *session;
    double begun = seconds();
    (void)state;
    assert_ok(tea_session_join(config, TEA_STR("ws://far.example:9090"), &session));
    sem_wait(&asked); /* it waits for the name server from here on */
    assert_ok(tea_session_step(session, 50000));
    assert_ok(tea_session_wait(session, 50000));
    assert_ok(tea_session_reconnect(session));
    assert_ok(tea_session_leave(session));
    assert_ok(tea_session_free(session));
    assert_true(seconds() - begun < AT_ONCE);
    assert_ok(tea_config_free(config));
    assert_ok(tea_app_free(app));
}

static void cancelling_a_transfer_does_not_wait_for_a_name_server(void **state) {
    tea_app *app = tally_app(false);
    tea_config *config = config_of(app);
    tea_blobs *blobs;
    tea_transfer *transfer;
    bool over = false;
    double begun = seconds();
    (void)state;
    assert_ok(tea_blobs_new(config, TEA_STR("ws://far.example:9090"), &blobs));
    assert_ok(tea_blobs_store(blobs, (const uint8_t *)"photo", 5, &transfer));
    sem_wait(&asked);
    assert_ok(tea_transfer_cancel(transfer));
    assert_status(tea_transfer_wait(transfer, (uint64_t)AT_ONCE * 1000000, &over), TEA_STATUS_CANCELLED);
    assert_ok(tea_transfer_free(transfer));
    assert_ok(tea_blobs_free(blobs));
    assert_true(seconds() - begun < AT_ONCE);
    assert_ok(tea_config_free(config));
    assert_ok(tea_app_free(app));
}

/* The threads that still wait end before the program does. */
static int stop(void **state) {
    (void)state;
    for (int waiting = 0; waiting < 100; waiting++) sem_post(&release);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joining_stepping_and_leaving_do_not_wait_for_a_name_server),
        cmocka_unit_test(cancelling_a_transfer_does_not_wait_for_a_name_server),
    };
    sem_init(&asked, 0, 0);
    sem_init(&release, 0, 0);
    return cmocka_run_group_tests_name("names", tests, NULL, stop);
}

/*
 * Swift 6.0 for Linux has an Observation library that refers to a function of the runtime which no
 * library exports, so that nothing that imports Observation links. It is called when a lock is used
 * wrongly, and must not return. Weak: where the function exists that one is taken.
 */
#include <stdlib.h>

__attribute__((weak, noreturn)) void fatal(const char *message, ...)
    __asm__("_ZN5swift9threading5fatalEPKcz");

void fatal(const char *message, ...) {
    (void)message;
    abort();
}

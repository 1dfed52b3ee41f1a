/*
 * The Observation library of Swift 6.0 for Linux refers to a function that no library exports, so programs that
 * import Observation do not link. The runtime calls the function when a lock is misused; it must not return. It is
 * weak, so that a library that does export the function takes precedence.
 */
#include <stdlib.h>

__attribute__((weak, noreturn)) void fatal(const char *message, ...)
    __asm__("_ZN5swift9threading5fatalEPKcz");

void fatal(const char *message, ...) {
    (void)message;
    abort();
}

/* The functions of this app in the library. */
#pragma once

void *_Nonnull tally_app(void);

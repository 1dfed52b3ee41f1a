/* What the library of this app exports besides Teatime itself. */
#pragma once

void *_Nonnull tally_app(void);
